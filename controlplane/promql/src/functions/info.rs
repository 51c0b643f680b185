//! `info`: adds the data labels of info metrics to the series they belong to.

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::SeriesSet;

use super::Invocation;

pub(super) fn info(
    inv: &Invocation<'_, '_>,
    _notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let _ = inv;
    Err(QueryError::Execution(
        "info() is not supported yet".to_owned(),
    ))
}
