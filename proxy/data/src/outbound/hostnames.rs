//! Host names as labels: what the application asked for, bounded in number because the application chooses it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use hauberk_model::matching::host_of;

/// Names that get a label of their own, per data thread. A workload talks to far fewer; one that invents names must not
/// fill the metrics.
const HOSTNAMES_MAX: usize = 256;
/// The label of all further names, and of what is no name.
const OVERFLOW: &str = "_other";
/// Longest name (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// The names seen so far; `None` where they are not asked for.
pub(crate) struct Hostnames(Option<RefCell<HashSet<Arc<str>>>>);

impl Hostnames {
    pub(crate) fn new(wanted: bool) -> Self {
        Self(wanted.then(RefCell::default))
    }

    /// The label of a request's authority, if such labels are wanted.
    pub(crate) fn of<'h>(&self, authority: impl FnOnce() -> &'h str) -> Option<Arc<str>> {
        self.0.as_ref()?;
        self.label(authority())
    }

    /// The label of a request's authority or of a server name.
    pub(crate) fn label(&self, authority: &str) -> Option<Arc<str>> {
        let mut known = self.0.as_ref()?.borrow_mut();
        let name = host_of(authority).to_ascii_lowercase();
        if let Some(name) = known.get(name.as_str()) {
            return Some(Arc::clone(name));
        }
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
        };
        if known.len() >= HOSTNAMES_MAX || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Some(Arc::from(OVERFLOW));
        }
        let name: Arc<str> = Arc::from(name);
        known.insert(Arc::clone(&name));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_only_where_they_are_asked_for() {
        assert_eq!(Hostnames::new(false).label("a.test"), None);
        assert_eq!(Hostnames::new(true).label("A.test:80").as_deref(), Some("a.test"));
    }

    #[test]
    fn names_beyond_the_bound_share_one_label_and_known_ones_keep_theirs() {
        let hostnames = Hostnames::new(true);
        for index in 0..HOSTNAMES_MAX {
            assert_eq!(hostnames.label(&format!("h{index}")).as_deref(), Some(format!("h{index}").as_str()));
        }
        assert_eq!(hostnames.label("one-more").as_deref(), Some(OVERFLOW));
        assert_eq!(hostnames.label("h7").as_deref(), Some("h7"));
    }

    #[test]
    fn what_is_no_name_has_no_label_of_its_own() {
        let hostnames = Hostnames::new(true);
        assert_eq!(hostnames.label("a b").as_deref(), Some(OVERFLOW));
        assert_eq!(hostnames.label(&"x".repeat(300)).as_deref(), Some(OVERFLOW));
    }
}
