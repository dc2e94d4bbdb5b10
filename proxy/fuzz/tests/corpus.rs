//! Every target holds over everything that is kept in its corpus, whatever once broke it included.

use hauberk_fuzz::{TARGETS, corpus};

#[test]
fn every_target_holds_over_its_corpus() {
    for target in TARGETS {
        let path = format!("{}/corpus/{}.txt", env!("CARGO_MANIFEST_DIR"), target.name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let inputs = corpus::parse(&text);
        assert!(inputs.len() >= 3, "{path} has {} inputs", inputs.len());
        for input in inputs {
            (target.run)(&input);
        }
    }
}
