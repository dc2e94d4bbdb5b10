//! Which TLS route a connection follows, by the name in its ClientHello.
//!
//! Where any route names a server or refuses, the name decides about a door, so a connection whose name cannot be read
//! is refused: not TLS at all, no name, or a name that may be a cover for another (encrypted ClientHello).

use crate::matching::by_host;
use crate::outbound::TlsRoute;

/// What can be read of a connection's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello<'h> {
    /// No ClientHello, or one that different servers read differently.
    Unreadable,
    /// A ClientHello.
    Read {
        /// Its server name.
        sni: Option<&'h str>,
        /// Whether there may be another name inside.
        encrypted: bool,
    },
}

/// Why no route is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// The connection does not begin with a ClientHello that can be read.
    #[error("the connection is not TLS whose server name can be read")]
    NotTls,
    /// No name.
    #[error("the ClientHello names no server")]
    NoName,
    /// The name may be a cover.
    #[error("the ClientHello may hide the server name (encrypted ClientHello)")]
    Hidden,
    /// No route for this name.
    #[error("no route has this server name")]
    Unlisted,
}

impl NameRefusal {
    /// The stable code, as metrics show it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotTls => "tls_required",
            Self::NoName => "sni_missing",
            Self::Hidden => "sni_encrypted",
            Self::Unlisted => "sni_not_allowed",
        }
    }
}

/// The index of the route to follow.
///
/// # Errors
/// [`NameRefusal`].
pub fn route_of(routes: &[TlsRoute], hello: Hello<'_>) -> Result<usize, NameRefusal> {
    let judges = routes.iter().any(|route| !route.snis.is_empty() || route.refusal.is_some());
    let name = match hello {
        Hello::Unreadable => return Err(NameRefusal::NotTls),
        Hello::Read { sni: None, .. } if judges => return Err(NameRefusal::NoName),
        Hello::Read { encrypted: true, .. } if judges => return Err(NameRefusal::Hidden),
        Hello::Read { sni, .. } => sni.unwrap_or_default(),
    };
    by_host(routes, |route| &route.snis, name).map(|(index, _)| index).ok_or(NameRefusal::Unlisted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metadata::Metadata;
    use crate::outbound::{OpaqueRefusal, RouteTarget};
    use crate::route::HostMatch;

    fn route(snis: Vec<HostMatch>, refusal: Option<OpaqueRefusal>) -> TlsRoute {
        let target = Arc::new(RouteTarget::default());
        TlsRoute { metadata: Metadata::Default("r".into()), snis, target, refusal }
    }

    fn exact(name: &str) -> HostMatch {
        HostMatch::Exact(name.into())
    }

    fn named(name: &str) -> Hello<'_> {
        Hello::Read { sni: Some(name), encrypted: false }
    }

    const NAMELESS: Hello<'static> = Hello::Read { sni: None, encrypted: false };

    #[test]
    fn the_more_exact_name_wins_and_what_no_route_names_is_refused() {
        let suffix = HostMatch::Suffix(["test".into(), "a".into()].into());
        let routes = [route(vec![suffix], None), route(vec![exact("x.a.test"), exact("b.test")], None)];
        assert_eq!(route_of(&routes, named("x.a.test")), Ok(1));
        assert_eq!(route_of(&routes, named("y.a.test")), Ok(0));
        assert_eq!(route_of(&routes, named("b.test")), Ok(1));
        assert_eq!(route_of(&routes, named("a.test")), Err(NameRefusal::Unlisted));
        assert_eq!(route_of(&routes, named("c.test")), Err(NameRefusal::Unlisted));
    }

    #[test]
    fn where_a_route_names_or_refuses_a_name_that_cannot_be_read_is_refused() {
        let hidden = Hello::Read { sni: Some("a.test"), encrypted: true };
        let allow = [route(vec![exact("a.test")], None), route(vec![], None)];
        let deny = [route(vec![], Some(OpaqueRefusal::Forbidden))];
        for routes in [&allow[..], &deny[..]] {
            assert_eq!(route_of(routes, Hello::Unreadable), Err(NameRefusal::NotTls));
            assert_eq!(route_of(routes, NAMELESS), Err(NameRefusal::NoName));
            assert_eq!(route_of(routes, hidden), Err(NameRefusal::Hidden));
        }
        assert_eq!(route_of(&allow, named("other.test")), Ok(1));
    }

    #[test]
    fn where_every_name_is_welcome_a_name_need_not_be_readable() {
        let any = [route(vec![], None)];
        let hidden = Hello::Read { sni: Some("a.test"), encrypted: true };
        assert_eq!((route_of(&any, NAMELESS), route_of(&any, hidden)), (Ok(0), Ok(0)));
        assert_eq!(route_of(&any, Hello::Unreadable), Err(NameRefusal::NotTls));
    }
}
