//! What a request must be besides a rule's matches: the conditions of a ServiceProfile's routes, which may be nested
//! and negated.

use std::sync::Arc;

use regex_lite::Regex;

use crate::matching::RequestView;

/// A condition on a request.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Every one of them.
    All(Vec<Condition>),
    /// One of them at least.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// The whole path, without query; build it with [`crate::route::whole`].
    Path(Regex),
    /// The method; case matters.
    Method(Arc<str>),
    /// A kind that this proxy does not know: it holds for nothing, negated or not.
    Unknown,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, request: &impl RequestView) -> bool {
        self.verdict(request) == Some(true)
    }

    /// `None`: what it says is not known.
    fn verdict(&self, request: &impl RequestView) -> Option<bool> {
        match self {
            Self::All(all) => {
                all.iter().try_fold(true, |holds, one| one.verdict(request).map(|one| holds && one))
            }
            Self::Any(any) => {
                any.iter().try_fold(false, |holds, one| one.verdict(request).map(|one| holds || one))
            }
            Self::Not(one) => one.verdict(request).map(|holds| !holds),
            Self::Path(regex) => Some(regex.is_match(request.path())),
            Self::Method(method) => Some(**method == *request.method()),
            Self::Unknown => None,
        }
    }

    /// Whether it looks at the path.
    #[must_use]
    pub fn judges_path(&self) -> bool {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().any(Self::judges_path),
            Self::Not(inner) => inner.judges_path(),
            Self::Path(_) => true,
            Self::Method(_) | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::whole;

    struct Asked(&'static str, &'static str);

    impl RequestView for Asked {
        fn method(&self) -> &str {
            self.0
        }
        fn authority(&self) -> &str {
            ""
        }
        fn path(&self) -> &str {
            self.1
        }
        fn query(&self) -> Option<&str> {
            None
        }
        fn header(&self, _name: &str) -> impl Iterator<Item = &[u8]> {
            std::iter::empty()
        }
    }

    fn path(pattern: &str) -> Condition {
        Condition::Path(whole(pattern).unwrap())
    }

    fn method(name: &str) -> Condition {
        Condition::Method(Arc::from(name))
    }

    #[test]
    fn conditions_nest_and_negate() {
        let books = Condition::All(vec![path("/books/\\d+"), Condition::Not(Box::new(method("POST")))]);
        let either = Condition::Any(vec![books, path("/authors")]);
        for (asked, expected) in [
            (Asked("GET", "/books/1"), true),
            (Asked("POST", "/books/1"), false),
            (Asked("GET", "/books/1/pages"), false),
            (Asked("POST", "/authors"), true),
        ] {
            assert_eq!(either.holds(&asked), expected, "{} {}", asked.0, asked.1);
        }
    }

    #[test]
    fn what_is_not_known_holds_for_nothing_even_negated() {
        let asked = Asked("GET", "/");
        assert!(!Condition::Unknown.holds(&asked));
        assert!(!Condition::Not(Box::new(Condition::Unknown)).holds(&asked));
        assert!(!Condition::Any(vec![Condition::Unknown, path("/")]).holds(&asked));
    }

    #[test]
    fn an_empty_all_holds_and_an_empty_any_does_not() {
        assert!(Condition::All(Vec::new()).holds(&Asked("GET", "/")));
        assert!(!Condition::Any(Vec::new()).holds(&Asked("GET", "/")));
    }
}
