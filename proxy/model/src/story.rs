//! What is remembered of one request: the vocabulary of the flight recorder.
//!
//! A story is a value of fixed size. What it names is shared with the policy, so that telling it neither allocates nor
//! formats; only what went wrong ([`Trouble`]) takes memory of its own, bounded too.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::health::Reason;
use crate::endpoint::Endpoint;
use crate::identity::Identity;
use crate::metadata::Metadata;
use crate::status::Failure;

/// Name of the header that carries a request's id between proxies, and tells it to whom a proxy answers itself.
pub const REQUEST_ID: &str = "hauberk-request-id";
/// Name of the header that tells why a proxy answered itself: a code of [`Failure::explained`].
pub const ERROR: &str = "hauberk-error";

/// Names one request on all proxies that it passes. Not secret, and by chance not met twice within a recorder's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// Digits of a [`RequestId`].
pub const ID_DIGITS: usize = 16;

impl RequestId {
    /// Lower-case hexadecimal digits, without a loop: eight nibbles at once are spread to bytes, and those above 9 are
    /// moved up to the letters.
    #[must_use]
    pub const fn digits(self) -> [u8; ID_DIGITS] {
        let (high, low) = ((self.0 >> 32) as u32, self.0 as u32);
        let both = ((hex(high) as u128) << 64) | hex(low) as u128;
        both.to_be_bytes()
    }

    /// Reads what [`RequestId::digits`] writes; letters may be capital.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; ID_DIGITS] = text.try_into().ok()?;
        let (mut id, mut all) = (0_u64, 0_u8);
        for byte in text {
            let digit = DIGITS.get(usize::from(*byte)).copied().unwrap_or(NO_DIGIT);
            id = id << 4 | u64::from(digit & 0xf);
            all |= digit;
        }
        (all & NO_DIGIT == 0).then_some(Self(id))
    }
}

/// In [`DIGITS`]: not a hexadecimal digit.
const NO_DIGIT: u8 = 0x80;

/// What each byte is worth as a hexadecimal digit.
static DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut rest: &mut [u8] = &mut table;
    let mut byte = 0_u8;
    while let [first, others @ ..] = rest {
        *first = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => NO_DIGIT,
        };
        byte = byte.wrapping_add(1);
        rest = others;
    }
    table
}

/// Eight nibbles as eight ASCII digits, the highest first.
const fn hex(number: u32) -> u64 {
    let mut x = number as u64;
    x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
    x = (x | (x << 8)) & 0x00ff_00ff_00ff_00ff;
    x = (x | (x << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // 0x10 in each byte whose nibble is above 9.
    let letters = (x.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    x + 0x3030_3030_3030_3030 + letters * 0x27
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which half of a pair tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Beside the client.
    Outbound,
    /// Beside the server.
    Inbound,
}

/// Text of at most `N` bytes, held in place; what is longer is cut, and says so.
#[derive(Clone, Copy)]
pub struct Short<const N: usize> {
    bytes: [u8; N],
    len: u8,
    cut: bool,
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0, cut: false }
    }
}

impl<const N: usize> Short<N> {
    /// Empties it.
    pub fn clear(&mut self) {
        (self.len, self.cut) = (0, false);
    }

    /// Takes in the beginning of a text.
    pub fn set(&mut self, text: &str) {
        let len = text.len().min(N).min(usize::from(u8::MAX));
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..len), text.as_bytes().get(..len)) {
            to.copy_from_slice(from);
        }
        self.len = u8::try_from(len).unwrap_or(u8::MAX);
        self.cut = text.len() > len;
    }

    /// The text, with an ellipsis where it was cut.
    #[must_use]
    pub fn text(&self) -> String {
        let held = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        let mut text = String::from_utf8_lossy(held).into_owned();
        if self.cut {
            text.push('…');
        }
        text
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Where a request belongs by policy: what does not change from one request of a rule to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Service or EgressNetwork of an outbound policy, Server of an inbound one.
    pub parent: Metadata,
    /// The route; `None`: none matches.
    pub route: Option<Metadata>,
}

/// What inbound policy said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Judgement {
    /// It was not asked.
    #[default]
    None,
    /// Admitted by this authorization.
    Allowed(Metadata),
    /// Admitted by none, for this reason.
    Denied(&'static str),
    /// Admitted, and over a rate limit.
    Limited,
}

/// One endpoint that did not bring the response.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub endpoint: Arc<Endpoint>,
    /// Why not.
    pub failure: Failure,
    /// When that was known, after the request began.
    pub after: Duration,
}

/// Why an endpoint was not chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its breaker is open, for this reason.
    Ejected(Reason),
    /// One request is out to see whether it is back.
    Probing(Reason),
    /// Discovery gives it no weight.
    Weightless,
}

/// An endpoint that was not chosen from.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Which.
    pub endpoint: Arc<Endpoint>,
    /// Why.
    pub why: Skip,
    /// How long it will be so, or since when a probe is out.
    pub time: Duration,
}

/// Endpoints that are remembered for each reason. A request that tried more says so by its attempts.
pub const TROUBLES_MAX: usize = 4;

/// What went wrong on the way to a response.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// In order.
    pub tried: [Option<Tried>; TROUBLES_MAX],
    /// At the last look.
    pub skipped: [Option<Skipped>; TROUBLES_MAX],
    /// Endpoints of the backend at the last look, and those that were ready.
    pub endpoints: (u32, u32),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// After its beginning.
    pub after: Duration,
    /// Status of the response; 0 if there was none.
    pub status: u16,
    /// gRPC status of the response.
    pub grpc_status: Option<u16>,
    /// Whether the response came through whole.
    pub complete: bool,
}

/// One request as one proxy saw it.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its name.
    pub id: RequestId,
    /// Who tells.
    pub side: Side,
    /// When its head had been read.
    pub began: Instant,
    /// The client's socket.
    pub client: SocketAddr,
    /// Where the client meant to go.
    pub target: SocketAddr,
    /// Method.
    pub method: Short<8>,
    /// `Host` or `:authority`.
    pub authority: Short<48>,
    /// Path, without the query, which may hold secrets.
    pub path: Short<64>,
    /// Inbound: the identity that the client proved.
    pub peer: Option<Identity>,
    /// The route that it follows.
    pub place: Option<Arc<Place>>,
    /// What inbound policy said.
    pub judgement: Judgement,
    /// Outbound: the backend of the rule.
    pub backend: Option<Metadata>,
    /// Outbound: the endpoint that was tried last.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Endpoints that were tried, hedges included.
    pub attempts: u16,
    /// When the response began, after the request did.
    pub answered: Option<Duration>,
    /// Why the proxy answered itself.
    pub failure: Option<Failure>,
    /// What went wrong before.
    pub trouble: Option<Box<Trouble>>,
    /// `None`: it goes on.
    pub end: Option<End>,
}

impl Story {
    /// One that begins.
    #[must_use]
    pub fn begin(id: RequestId, side: Side, began: Instant, client: SocketAddr, target: SocketAddr) -> Self {
        Self {
            id,
            side,
            began,
            client,
            target,
            method: Short::default(),
            authority: Short::default(),
            path: Short::default(),
            peer: None,
            place: None,
            judgement: Judgement::None,
            backend: None,
            endpoint: None,
            attempts: 0,
            answered: None,
            failure: None,
            trouble: None,
            end: None,
        }
    }

    /// Begins another one in the place of this: cheaper than [`Story::begin`], since texts are only said to be empty.
    pub fn begin_again(
        &mut self,
        id: RequestId,
        side: Side,
        began: Instant,
        client: SocketAddr,
        target: SocketAddr,
    ) {
        let Self {
            id: the_id,
            side: the_side,
            began: the_beginning,
            client: the_client,
            target: the_target,
            method,
            authority,
            path,
            peer,
            place,
            judgement,
            backend,
            endpoint,
            attempts,
            answered,
            failure,
            trouble,
            end,
        } = self;
        (*the_id, *the_side, *the_beginning, *the_client, *the_target) = (id, side, began, client, target);
        method.clear();
        authority.clear();
        path.clear();
        (*peer, *place, *judgement, *backend, *endpoint) = (None, None, Judgement::None, None, None);
        (*attempts, *answered, *failure, *trouble, *end) = (0, None, None, None, None);
    }

    /// Whether it ended badly. What a route's filters answer with success is no failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let is_meant = |failure| matches!(failure, Failure::Redirected(_) | Failure::Preflight);
        let by_proxy = self.failure.is_some_and(|failure| !is_meant(failure));
        let by_server = self.end.is_some_and(|end| {
            let code = end.grpc_status.map(crate::status::GrpcCode::from_number);
            let failed =
                code.map_or(crate::status::is_failure(end.status), crate::status::GrpcCode::is_failure);
            failed || !end.complete
        });
        by_proxy || by_server
    }

    /// What went wrong, to be added to.
    pub fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }
}

impl Trouble {
    /// Notes an endpoint that did not bring the response; beyond [`TROUBLES_MAX`] the last place is taken again.
    pub fn tried(&mut self, tried: Tried) {
        let at = self.tried.iter().position(Option::is_none).unwrap_or(TROUBLES_MAX - 1);
        if let Some(place) = self.tried.get_mut(at) {
            *place = Some(tried);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_sixteen_digits_that_read_back() {
        for number in [0, 1, 0xf, 0x9a, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 1 << 63] {
            let id = RequestId(number);
            assert_eq!(std::str::from_utf8(&id.digits()), Ok(format!("{number:016x}").as_str()));
            assert_eq!(RequestId::parse(&id.digits()), Some(id));
        }
        for bad in ["", "0", "00000000000000000", "000000000000000g", "-000000000000001"] {
            assert_eq!(RequestId::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_story_in_the_place_of_another_knows_nothing_of_it() {
        let addr = SocketAddr::from(([10, 0, 0, 1], 80));
        let began = Instant::now();
        let fresh = Story::begin(RequestId(7), Side::Inbound, began, addr, addr);
        let mut told = Story::begin(RequestId(1), Side::Outbound, began, addr, addr);
        told.method.set("GET");
        told.authority.set("a.test");
        told.path.set("/");
        told.judgement = Judgement::Denied("client");
        told.attempts = 3;
        told.answered = Some(Duration::ZERO);
        told.failure = Some(Failure::Connect);
        told.trouble();
        told.end = Some(End { after: Duration::ZERO, status: 502, grpc_status: None, complete: false });
        told.begin_again(RequestId(7), Side::Inbound, began, addr, addr);
        assert_eq!(format!("{told:?}"), format!("{fresh:?}"));
    }

    #[test]
    fn a_text_that_does_not_fit_is_cut_and_says_so() {
        let mut short = Short::<4>::default();
        short.set("abcdef");
        assert_eq!(short.text(), "abcd…");
        short.set("ab");
        assert_eq!(short.text(), "ab");
        short.set("aöbc");
        assert_eq!(short.text(), "aöb…");
    }
}
