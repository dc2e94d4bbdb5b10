//! What the filters of a rule or of a backend reference make of one request, beyond the changes of its headers.

use std::cell::RefCell;

use hauberk_model::filters::{self, Answer, cors, rewrite};
use hauberk_model::random::Random;
use hauberk_model::route::{Filter, HeaderModifier};

use crate::heads::View;
use crate::respond::Synthesised;

/// A request that its filters let on.
#[derive(Debug, Default)]
pub(crate) struct Filtered {
    /// The target that a filter gives it.
    pub(crate) path_and_query: Option<String>,
    /// What its response says besides.
    pub(crate) response: Option<HeaderModifier>,
}

/// Carries the filters out, except for those that change headers.
///
/// # Errors
/// The answer that one of them gives in the backend's place.
pub(crate) fn apply(
    filters: &[Filter],
    view: &View<'_>,
    prefix_len: Option<usize>,
    random: &RefCell<Random>,
) -> Result<Filtered, Synthesised> {
    if filters.is_empty() {
        return Ok(Filtered::default());
    }
    if let Some(headers) = cors::preflight(filters, view) {
        return Err(Synthesised::of_filter(Answer::Preflight(headers)));
    }
    let target = view.filter_target(prefix_len);
    if let Some(answer) = filters::answer(filters, target, &mut random.borrow_mut()) {
        return Err(Synthesised::of_filter(answer));
    }
    let path_and_query = rewrite::path_and_query(filters, target).map_err(|why| match why {
        rewrite::Unrewritten::Ambiguous(ambiguous) => ambiguous.into(),
        rewrite::Unrewritten::Misconfigured(answer) => Synthesised::of_filter(answer),
    })?;
    Ok(Filtered { path_and_query, response: cors::response(filters, view) })
}
