//! Both kinds of label sets that rules work on give the same.

#![allow(clippy::unwrap_used)]

use bellwether_model::{Labels, LabelsBuilder};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Names of all lengths around those where [`Working`] tells them apart in another way, some with equal ends.
const NAMES: [&str; 9] = [
    "a",
    "b",
    "ab",
    "__tmp_a",
    "__meta_a",
    "__meta_ab",
    "__meta_kubernetes_ab",
    "__meta_kubernetes_node_ab",
    "__param_meta_ab",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES.as_slice()).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map(name(), "[ab;1]{1,3}", 0..7).prop_map(|pairs| Labels::from_pairs(&pairs))
}

fn rule() -> impl Strategy<Value = RelabelConfig> {
    let replace = (
        vec(name(), 0..3),
        prop::sample::select(vec!["(.*)", "(a+)(.*)", ".*;(.*)", "b.*", ""]),
        prop::sample::select(vec!["a", "__meta_ab", "__tmp_$1", "${1}_x"]),
        option::of(prop::sample::select(vec!["$1", "$2-$1", "fixed", ""])),
    );
    let replace = replace.prop_map(|(sources, regex, target, replacement)| RelabelConfig {
        source_labels: Some(sources),
        regex: Some(regex.to_owned()),
        target_label: target.to_owned(),
        replacement: replacement.map(str::to_owned),
        ..RelabelConfig::default()
    });
    let on_names = (
        prop::sample::select(vec![Action::LabelMap, Action::LabelDrop, Action::LabelKeep]),
        prop::sample::select(vec![
            "__meta_(.+)",
            "__(?:meta|param)_(?:kubernetes_)?(.+)",
            "a.*",
            ".*b",
        ]),
    );
    let on_names = on_names.prop_map(|(action, regex)| RelabelConfig {
        action,
        regex: Some(regex.to_owned()),
        ..RelabelConfig::default()
    });
    let on_values = (
        prop::sample::select(vec![
            Action::Keep,
            Action::Drop,
            Action::KeepEqual,
            Action::DropEqual,
            Action::HashMod,
            Action::Lowercase,
            Action::Uppercase,
        ]),
        vec(name(), 1..3),
        name(),
    );
    let on_values = on_values.prop_map(|(action, sources, target)| RelabelConfig {
        action,
        source_labels: Some(sources),
        regex: matches!(action, Action::Keep | Action::Drop).then(|| "a?b?.*".to_owned()),
        modulus: if action == Action::HashMod { 7 } else { 0 },
        target_label: match action {
            Action::Keep | Action::Drop => String::new(),
            _ => target,
        },
        ..RelabelConfig::default()
    });
    prop_oneof![3 => replace, 1 => on_names, 1 => on_values]
}

proptest! {
    /// Also when the rules remember what they made of other label sets, of the same one and of one of the same names.
    #[test]
    fn borrowed_texts_give_the_same(
        sets in vec((labels(), labels(), 1..3_usize), 1..6),
        rules in vec(rule(), 0..6),
    ) {
        let rules = Rules::new(&rules).unwrap();
        let mut working = Working::default();
        let mut memory = Memory::default();
        for (common, own, times) in &sets {
            let mut built: LabelsBuilder = common.to_builder();
            for label in own {
                built.set(label.name, label.value);
            }
            let kept = rules.apply(&mut built);
            let built = built.build();
            for _ in 0..*times {
                working.fill(common, own);
                prop_assert_eq!(rules.work(&mut working, &mut memory), kept);
                if kept {
                    let worked = working.build(&mut String::new(), |_| true);
                    prop_assert_eq!(&worked, &built);
                }
            }
        }
    }

    /// Texts that never come again end the remembering, and change nothing.
    #[test]
    fn a_rule_that_gave_up_remembering_gives_the_same(values in vec("[ab]{0,3}", 0..200)) {
        let rule = RelabelConfig {
            source_labels: Some(vec!["a".to_owned()]),
            regex: Some("(a+)b?(.*)".to_owned()),
            replacement: Some("$2-$1".to_owned()),
            target_label: "b".to_owned(),
            ..RelabelConfig::default()
        };
        let rules = Rules::new(&[rule]).unwrap();
        let mut memory = Memory::default();
        let texts = (0..100).map(|n| format!("a{n}")).chain(values);
        let sets: Vec<Labels> = texts.map(|value| Labels::from_pairs([("a", value)])).collect();
        let none = Labels::empty();
        let mut working = Working::default();
        for labels in &sets {
            let mut built = labels.to_builder();
            prop_assert!(rules.apply(&mut built));
            working.fill(labels, &none);
            prop_assert!(rules.work(&mut working, &mut memory));
            prop_assert_eq!(working.build(&mut String::new(), |_| true), built.build());
        }
    }
}
