use super::*;

#[test]
fn decodes_names_and_values_in_order() {
    let expected = [("a", "1"), ("b", "x y"), ("a", "ü"), ("empty", ""), ("bare", "")];
    let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(pairs("a=1&b=x+y&a=%C3%bc&empty=&bare&"), expected);
}

#[test]
fn broken_escapes_stay_as_they_are() {
    assert_eq!(pairs("a=%zz&b=%4&c=%"), [("a", "%zz"), ("b", "%4"), ("c", "%")].map(|(n, v)| (n.into(), v.into())));
    assert_eq!(pairs("a=%ff"), [("a".to_string(), "\u{fffd}".to_string())]);
}
