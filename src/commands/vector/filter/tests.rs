//! What filters let pass, and which texts are none. Most cases are what a real Redis answers.

use super::*;

const MOVIE: &str = r#"{"year": 1984, "title":"The \"T\"\n", "tags": ["a", 2, null, true], "rating":8.5, "big": {"x":1}, "no": null}"#;

#[track_caller]
fn check(text: &str, passes: bool) {
    let filter = Filter::compile(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(filter.run(MOVIE.as_bytes()), passes, "{text}");
}

#[track_caller]
fn refused(text: &str, near: &str) {
    let error = Filter::compile(text.as_bytes()).err().unwrap_or_else(|| panic!("{text} is taken"));
    assert_eq!(error.to_string(), format!("ERR syntax error in FILTER expression near: {near}"));
}

#[test]
fn operators_bind_as_they_should() {
    for text in [
        "1",
        ".year",
        "1 + 2 * 3 == 7",
        "2 ** 3 ** 2 == 512",
        "(1+2)*3==9",
        "7 % 4 == 3",
        "10 - 2 - 3 == 5",
        "8/4/2==1",
        "not 0",
        "!0 and 1",
        "1 or 0 and 0",
        "-1 < 0",
        "3 - -1 == 4",
        "2 > 1 == 1",
        "'10' == 10",
        "'ab' in 'cabd'",
        "1 in [3, 2, 1]",
        "'x' in ['y', \"x\"]",
        "null == null",
        "not null",
        "'' == ''",
        "[] and 1",
        "'a' && 1 || 0",
        "1==1and 2==2",
        "'0x10' == 16",
        "' 5' == 5",
        "'inf' > 1e308",
        "[1]==0",
        "1e999 == 'inf'",
    ] {
        check(text, true);
    }
    for text in [
        "0",
        "1 == 2",
        "'' or 0",
        "null",
        "not 1",
        "'b' in 'a'",
        "1 in []",
        "1 in 1",
        "'1' in [2]",
        "null == 0",
    ] {
        check(text, false);
    }
}

#[test]
fn fields_are_those_of_the_outermost_object() {
    for text in [
        ".year == 1984",
        ".year > 1980 and .rating >= 8.5",
        ".title == 'The \"T\"\n'",
        "'a' in .tags",
        "2 in .tags",
        "null in .tags",
        "1 in .tags",
        ".no == null",
        "'T' in .title",
        "not (.year < 1980)",
    ] {
        check(text, true);
    }
    // A field that is not there, or has no value, makes the whole false.
    for text in [".none", ".none or 1", "not .none", ".big", ".x == 1", ".", "'b' in .tags"] {
        check(text, false);
    }
}

#[test]
fn what_is_no_expression_is_refused_with_what_stands_there() {
    refused("", "");
    refused("1 +", "1 +");
    refused("(1", "(1");
    refused("1)", "1)");
    refused("!!1", "!!1");
    refused("1 2", "1 2");
    refused("1 @ 2", "@ 2");
    refused("'abc", "'abc");
    refused("1.2.3 == 1", " == 1");
    refused("[1,[2]]", "[2]]");
    refused("foo == 1", " == 1");
    refused(".a == ]", "]");
    refused("$", "$");
}

#[test]
fn attributes_need_not_be_json_to_their_end() {
    let filter = Filter::compile(b".a == 1").expect("it is one");
    for (attributes, passes) in [
        (&b"{\"a\":1"[..], true),
        (b"{\"a\":1,,,", true),
        (b" {\"b\" : [1,{\"a\":2},\"]\"] , \"a\":1}", true),
        (b"{\"b\":{\"c\":[}]}, \"a\":1}", false),
        (b"{\"b\":tru,\"a\":1}", false),
        (b"{\"a\":1x}", true),
        (b"{\"a\":truex}", false),
        (b"{\"a\":true}", true),
        (b"[1]", false),
        (b"", false),
        (b"{\"a", false),
        (b"{\"a\":\"1\"}", true),
        (b"{\"a\":+1}", true),
        (b"{\"a\":2,\"a\":1}", false),
        (b"{\"\":1}", false),
    ] {
        assert_eq!(filter.run(attributes), passes, "{}", attributes.escape_ascii());
    }
}

#[test]
fn depth_and_work_are_bounded() {
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    check(&deep, true);
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let filter = Filter::compile(b".a").expect("it is one");
    assert!(!filter.run(nested.as_bytes()));
    let long = format!("{{\"a\":\"{}\"}}", "a".repeat(1 << 20));
    let many = vec!["'aab' in .a"; 1000].join(" or ");
    assert!(!Filter::compile(many.as_bytes()).expect("it is one").run(long.as_bytes()));
}
