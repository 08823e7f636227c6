//! Tests of the configuration as a whole.
use super::*;

#[test]
fn defaults_are_accepted() {
    assert_eq!(Config::new().port, 6379);
}
