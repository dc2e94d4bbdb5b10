//! Changes to forwarded fields: what a crossing strips, what route filters say, what the proxy itself adds.

use std::sync::Arc;

use crate::h1::Kind;
use crate::h1::grammar::{is_token, is_value};
use crate::strip::Strip;

/// Field names and values as policies hold them: names in lower case.
pub type Pairs<'a> = &'a [(Arc<str>, Arc<[u8]>)];

/// One route filter's changes: a HeaderModifier of the Gateway API. Names that frame the message or belong to the mesh
/// or connection are not its to change and are passed over; `host` may be set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Modifier<'a> {
    /// Replaces all values.
    pub set: Pairs<'a>,
    /// Appends a value.
    pub add: Pairs<'a>,
    /// Removes all values.
    pub remove: &'a [Arc<str>],
}

/// All changes to one message's fields, in order: strip, filters, own.
#[derive(Clone, Copy, Debug)]
pub struct Edits<'a> {
    /// What the crossing drops.
    pub strip: &'a Strip,
    /// The filters, each seeing the result of the one before.
    pub modifiers: &'a [Modifier<'a>],
    /// What the proxy itself says: lower-case names, each replacing whatever was there. `l5d-*` may be among them,
    /// framing fields may not.
    pub own: &'a [(&'a str, &'a [u8])],
    /// Whether `own` is known to be writable, because of what it was made from: it is not looked at again.
    pub own_is_sound: bool,
}

impl<'a> Edits<'a> {
    /// Only what the crossing drops.
    pub const fn strip(strip: &'a Strip) -> Self {
        Self { strip, modifiers: &[], own: &[], own_is_sound: true }
    }

    /// What the crossing drops and what filters say.
    pub fn filtered(strip: &'a Strip, modifiers: &'a [Modifier<'a>]) -> Self {
        Self { modifiers, ..Self::strip(strip) }
    }

    /// Whether a received field is passed on unchanged.
    pub fn keeps(&self, name: &[u8], kind: Kind) -> bool {
        if !kind.is_forwarded() || self.strip.drops(name, kind) {
            return false;
        }
        let own = self.own.iter().any(|(own, _)| name.eq_ignore_ascii_case(own.as_bytes()));
        !own && !replaced_by(self.modifiers, name)
    }

    /// The fields to write besides the kept ones.
    pub fn written(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let (modifiers, own) = (self.modifiers, self.own);
        let by_filters = modifiers.iter().enumerate().flat_map(move |(index, modifier)| {
            let later = modifiers.get(index.saturating_add(1)..).unwrap_or_default();
            let pairs = modifier.set.iter().chain(modifier.add);
            pairs.map(|(name, value)| (&**name, &**value)).filter(move |(name, _)| {
                may_be_modified(name)
                    && !replaced_by(later, name.as_bytes())
                    && !own.iter().any(|(own, _)| own == name)
            })
        });
        by_filters.chain(own.iter().copied())
    }

    /// The host that the last filter to set one gives the request.
    pub fn host(&self) -> Option<&'a str> {
        let sets = self.modifiers.iter().rev().flat_map(|modifier| modifier.set.iter().rev());
        let (_, host) = sets.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
        std::str::from_utf8(host).ok()
    }

    /// Whether everything to be written can stand in a message.
    pub fn are_writable(&self) -> bool {
        if self.modifiers.is_empty() && (self.own_is_sound || self.own.is_empty()) {
            return true;
        }
        self.written().all(|(name, value)| {
            is_token(name.as_bytes()) && is_value(value) && Kind::of(name.as_bytes()).is_forwarded()
        })
    }
}

/// What a filter may not change is left alone by all its parts.
fn may_be_modified(name: &str) -> bool {
    matches!(Kind::of(name.as_bytes()), Kind::EndToEnd | Kind::Expect | Kind::Trailer)
}

fn replaced_by(modifiers: &[Modifier<'_>], name: &[u8]) -> bool {
    let is = |other: &Arc<str>| name.eq_ignore_ascii_case(other.as_bytes()) && may_be_modified(other);
    modifiers
        .iter()
        .any(|modifier| modifier.set.iter().any(|(set, _)| is(set)) || modifier.remove.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strip::REQUEST_FROM_APP;

    fn pairs(of: &[(&str, &str)]) -> Vec<(Arc<str>, Arc<[u8]>)> {
        of.iter().map(|(name, value)| (Arc::from(*name), Arc::from(value.as_bytes()))).collect()
    }

    #[test]
    fn a_later_filter_sees_the_result_of_an_earlier_one() {
        let (first, second) = (pairs(&[("a", "1"), ("b", "1")]), pairs(&[("a", "2")]));
        let modifiers = [
            Modifier { set: &first, add: &[], remove: &[] },
            Modifier { set: &[], add: &second, remove: &[Arc::from("b")] },
        ];
        let edits = Edits { modifiers: &modifiers, ..Edits::strip(&REQUEST_FROM_APP) };
        assert_eq!(edits.written().collect::<Vec<_>>(), [("a", &b"1"[..]), ("a", &b"2"[..])]);
        assert!(!edits.keeps(b"A", Kind::EndToEnd));
        assert!(!edits.keeps(b"b", Kind::EndToEnd));
        assert!(edits.keeps(b"c", Kind::EndToEnd));
    }

    #[test]
    fn a_filter_may_not_touch_framing_connection_or_mesh_fields_but_may_set_the_host() {
        let set = pairs(&[
            ("content-length", "1"),
            ("connection", "x"),
            ("l5d-client-id", "me"),
            ("host", "b.test"),
        ]);
        let modifiers = [Modifier { set: &set, add: &set, remove: &[] }];
        let edits = Edits { modifiers: &modifiers, ..Edits::strip(&REQUEST_FROM_APP) };
        assert_eq!(edits.written().count(), 0);
        assert_eq!(edits.host(), Some("b.test"));
    }

    #[test]
    fn what_cannot_stand_in_a_message_is_not_writable() {
        for (name, value) in [("a b", "c"), ("a", "b\r\nc: d"), ("a", " b"), ("", "b"), ("a:", "b")] {
            let add = pairs(&[(name, value)]);
            let modifiers = [Modifier { set: &[], add: &add, remove: &[] }];
            assert!(
                !Edits { modifiers: &modifiers, ..Edits::strip(&REQUEST_FROM_APP) }.are_writable(),
                "{name}"
            );
        }
    }
}
