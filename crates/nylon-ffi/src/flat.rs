//! The two tables that the ABI writes as flatbuffers, by hand: a header, and a list of headers.
//!
//! ```text
//! table HeaderKeyValue   { key: string; value: string; }      slots 0 and 1, both required
//! table NylonHttpHeaders { headers: [HeaderKeyValue]; }       slot 0, required
//! ```

/// Reads a `HeaderKeyValue`. Everything is checked, nothing need be aligned; the value may be any bytes.
pub(crate) fn read_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let table = Table::root(bytes)?;
    let key = std::str::from_utf8(table.string(0)?).ok()?;
    Some((key, table.string(1)?))
}

struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: &'a [u8],
    length: usize,
}

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Option<Self> {
        let at = u32_at(bytes, 0)? as usize;
        let back = u32_at(bytes, at)?.cast_signed();
        let vtable_at = usize::try_from(i64::try_from(at).ok()? - i64::from(back)).ok()?;
        let size = usize::from(u16_at(bytes, vtable_at)?);
        let vtable = bytes.get(vtable_at..vtable_at.checked_add(size)?)?;
        let length = usize::from(u16_at(vtable, 2)?);
        bytes.get(at..at.checked_add(length)?)?;
        Some(Self { bytes, at, vtable, length })
    }

    fn string(&self, slot: usize) -> Option<&'a [u8]> {
        let offset = usize::from(u16_at(self.vtable, 4 + 2 * slot)?);
        if offset < 4 || offset + 4 > self.length {
            return None;
        }
        let field = self.at + offset;
        let at = field.checked_add(u32_at(self.bytes, field)? as usize)?;
        let length = u32_at(self.bytes, at)? as usize;
        self.bytes.get(at + 4..(at + 4).checked_add(length)?)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Writes a `NylonHttpHeaders`. Complete also without any header: libraries read it unchecked.
pub(crate) fn write_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let headers: Vec<_> = headers.collect();
    // Root, padding, the list's vtable, its table, the vector's length.
    let mut out: Vec<u8> = Vec::with_capacity(64 + 64 * headers.len());
    put(&mut out, 12);
    out.extend_from_slice(&[0, 0, 6, 0, 8, 0, 4, 0]);
    put(&mut out, 6);
    put(&mut out, 4);
    put(&mut out, headers.len());
    let vector = out.len();
    out.resize(vector + 4 * headers.len(), 0);
    let vtable = out.len();
    out.extend_from_slice(&[8, 0, 12, 0, 4, 0, 8, 0]);
    for (index, (name, value)) in headers.into_iter().enumerate() {
        let table = out.len();
        let place = vector + 4 * index;
        patch(&mut out, place, table - place);
        put(&mut out, table - vtable);
        put(&mut out, 8);
        // The value's length stands behind the name, its NUL and padding.
        let padded = (name.len() + 1).next_multiple_of(4);
        put(&mut out, 4 + 4 + padded);
        for text in [name.as_bytes(), value] {
            put(&mut out, text.len());
            out.extend_from_slice(text);
            out.resize((out.len() + 1).next_multiple_of(4), 0);
        }
    }
    out
}

/// Offsets are 32 bits wide; what would not fit is refused long before by the limits of a head.
fn put(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or_default().to_le_bytes());
}

fn patch(out: &mut [u8], at: usize, number: usize) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&u32::try_from(number).unwrap_or_default().to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
