use super::choice::Choice;
use crate::failure::Failure;
use std::path::Path;
pub(super) fn run(_choice: &Choice<'_>, _out: Option<&Path>) -> Result<(), Failure> {
    Ok(())
}
