use proptest::prelude::*;

use super::RoundRobin;

fn turns(weights: &[u32], count: usize) -> Vec<usize> {
    let balance = RoundRobin::new(weights).unwrap();
    (0..count).map(|_| balance.next()).collect()
}

#[test]
fn equal_weights_take_turns() {
    assert_eq!(turns(&[5, 5, 5], 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn weights_are_interleaved_not_consecutive() {
    assert_eq!(turns(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn weight_zero_gets_nothing() {
    assert_eq!(turns(&[0, 1, 0, 1], 4), [1, 3, 1, 3]);
}

#[test]
fn no_weight_at_all_is_refused() {
    assert_eq!(RoundRobin::new(&[0, 0]).unwrap_err(), "no endpoint has a weight above 0");
}

#[test]
fn weights_that_need_too_long_a_sequence_are_refused() {
    assert!(RoundRobin::new(&[u32::MAX, 1]).unwrap_err().contains("more than 65536"));
}

#[test]
fn large_weights_with_a_common_divisor_are_fine() {
    assert_eq!(turns(&[u32::MAX, u32::MAX], 2), [0, 1]);
}

proptest! {
    #[test]
    fn a_round_gives_everybody_its_weight(weights in prop::collection::vec(0u32..20, 1..8)) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let round = weights.iter().sum::<u32>() as usize;
        let turns = turns(&weights, round);
        for (index, weight) in weights.iter().enumerate() {
            prop_assert_eq!(turns.iter().filter(|&&turn| turn == index).count(), *weight as usize);
        }
    }
}
