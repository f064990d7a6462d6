//! Any MessagePack value as JSON, read with `rmp`: a second opinion on what our own reader accepts.

use rmp::Marker;
use serde_json::{Map, Value, json};

/// Reads one value and moves past it.
pub fn read(data: &mut &[u8]) -> Value {
    let marker = rmp::decode::read_marker(&mut &**data).unwrap();
    match marker {
        Marker::Null => {
            rmp::decode::read_nil(data).unwrap();
            Value::Null
        }
        Marker::True | Marker::False => json!(rmp::decode::read_bool(data).unwrap()),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let len = rmp::decode::read_array_len(data).unwrap();
            (0..len).map(|_| read(data)).collect()
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let len = rmp::decode::read_map_len(data).unwrap();
            let pair = |data: &mut &[u8]| (read(data).as_str().unwrap().to_owned(), read(data));
            Value::Object((0..len).map(|_| pair(data)).collect::<Map<_, _>>())
        }
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let len = rmp::decode::read_str_len(data).unwrap() as usize;
            json!(std::str::from_utf8(take(data, len)).unwrap())
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let len = rmp::decode::read_bin_len(data).unwrap() as usize;
            json!({ "bin": super::hex(take(data, len)) })
        }
        _ => {
            let value: i128 = rmp::decode::read_int(data).unwrap();
            u64::try_from(value).map_or_else(|_| json!(i64::try_from(value).unwrap()), |value| json!(value))
        }
    }
}

fn take<'a>(data: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(len);
    *data = rest;
    taken
}
