//! What the list of devices says can be opened, and what cannot be is refused in words of ours.

use nascent::Error;
use nascent::nn::device::{describe, names, open, open_as};

use crate::name;

fn refusal(device: &str) -> (String, String) {
    match open(device).map(|_| ()) {
        Err(Error::Device { problem, hint, .. }) => (problem, hint),
        other => panic!("{device}: {other:?}"),
    }
}

#[test]
fn every_line_of_the_list_begins_with_what_can_be_opened() {
    for line in describe() {
        let device = line.split_whitespace().next().expect("a word");
        let is_name = names().contains(&device.split(':').next().expect("a word")) || device == "auto";
        // The line below a kind of which the machine has none.
        assert!(is_name || line.starts_with(' '), "{line}");
        if is_name && !line.contains("unknown kind") && (device.contains(':') || device == "auto") {
            open(device).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

#[test]
fn the_device_under_test_opens_twice_and_says_what_it_is() {
    let [first, second] = [0, 1].map(|_| open_as(&name()).expect("it is there"));
    assert_eq!(first.what, second.what);
    assert!(first.what.starts_with(name().split(':').next().expect("a word")), "{}", first.what);
    assert!(open_as("auto").expect("there is a CPU").what.contains("auto: "));
}

#[test]
fn a_number_that_is_not_there_and_words_that_are_none_are_refused_with_what_there_is() {
    let word = name().split(':').next().expect("a word").to_owned();
    let (problem, hint) = refusal(&format!("{word}:999"));
    if crate::is_flex() {
        assert!(problem.contains("no number"), "{problem}");
    } else {
        assert!(problem.contains("no adapter of this number") && hint.contains("there are: 0"), "{problem}; {hint}");
    }
    assert!(refusal(&format!("{word}:first")).0.contains("must be the number"));
    let (problem, hint) = refusal("abacus");
    assert!(problem == "no such device" && hint.contains("flex"), "{hint}");
}
