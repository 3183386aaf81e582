//! AMF0, the values inside RTMP commands and FLV script data (Adobe "Action Message Format AMF 0").
//!
//! Own code, because a hostile ingest must not end the broadcast: both maintained crates recurse as deep as the bytes
//! say (64 KiB of nested arrays overflow the stack, which aborts the process), one of them reserves as much memory as an
//! array claims to need, the other one writes an object's properties in random order.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; also what a date is read as.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// UTF-8, of any length.
    Text(String),
    /// Named values, in the order in which they are sent.
    Object(Vec<(String, Value)>),
    /// Named values as `onMetaData` has them (2.10, ECMA array).
    Table(Vec<(String, Value)>),
    /// Values (2.12, strict array).
    List(Vec<Value>),
    /// Nothing; also what "undefined" and "unsupported" are read as.
    Null,
}

/// How deep values may be nested; ingests use two levels.
const DEPTH: u32 = 8;

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The value of a named property.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(pairs) | Self::Table(pairs) => {
                pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Appends the value's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(0x00);
                out.extend(number.to_be_bytes());
            }
            Self::Boolean(truth) => out.extend([0x01, u8::from(*truth)]),
            Self::Text(text) => match u16::try_from(text.len()) {
                Ok(length) => {
                    out.push(0x02);
                    out.extend(length.to_be_bytes());
                    out.extend(text.as_bytes());
                }
                Err(_) => {
                    out.push(0x0c);
                    out.extend((text.len() as u32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
            },
            Self::Object(pairs) => {
                out.push(0x03);
                write_pairs(pairs, out);
            }
            Self::Table(pairs) => {
                out.push(0x08);
                out.extend((pairs.len() as u32).to_be_bytes());
                write_pairs(pairs, out);
            }
            Self::List(values) => {
                out.push(0x0a);
                out.extend((values.len() as u32).to_be_bytes());
                values.iter().for_each(|value| value.write(out));
            }
            Self::Null => out.push(0x05),
        }
    }
}

fn write_pairs(pairs: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in pairs {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        out.extend((name.len() as u16).to_be_bytes());
        out.extend(name);
        value.write(out);
    }
    out.extend([0, 0, 0x09]);
}

/// The bytes of `values`, one after the other.
pub fn write_all(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    values.iter().for_each(|value| value.write(&mut out));
    out
}

/// Reads values up to the end, or up to the first that is cut off, unknown or nested too deep. Memory is bounded by the
/// number of bytes.
pub fn read_all(mut bytes: &[u8]) -> Vec<Value> {
    std::iter::from_fn(|| read(&mut bytes, DEPTH)).collect()
}

fn read(bytes: &mut &[u8], depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match take::<1>(bytes)?[0] {
        0x00 => Value::Number(f64::from_be_bytes(take(bytes)?)),
        0x01 => Value::Boolean(take::<1>(bytes)?[0] != 0),
        0x02 => Value::Text(short_text(bytes)?),
        0x03 => Value::Object(read_pairs(bytes, depth)?),
        0x05 | 0x06 | 0x0d => Value::Null,
        0x08 => {
            // The count is only a hint: the end marker counts.
            take::<4>(bytes)?;
            Value::Table(read_pairs(bytes, depth)?)
        }
        0x0a => {
            let count = u32::from_be_bytes(take(bytes)?);
            Value::List((0..count).map(|_| read(bytes, depth)).collect::<Option<_>>()?)
        }
        0x0b => {
            let number = f64::from_be_bytes(take(bytes)?);
            take::<2>(bytes)?; // time zone, reserved
            Value::Number(number)
        }
        0x0c | 0x0f => {
            let length = u32::from_be_bytes(take(bytes)?);
            text(bytes, usize::try_from(length).ok()?)?
        }
        0x10 => {
            short_text(bytes)?; // class name
            Value::Object(read_pairs(bytes, depth)?)
        }
        _ => return None,
    })
}

fn read_pairs(bytes: &mut &[u8], depth: u32) -> Option<Vec<(String, Value)>> {
    let mut pairs = Vec::new();
    loop {
        let name = short_text(bytes)?;
        if name.is_empty() && bytes.first() == Some(&0x09) {
            *bytes = &bytes[1..];
            return Some(pairs);
        }
        pairs.push((name, read(bytes, depth)?));
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

fn short_text(bytes: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(take(bytes)?);
    if let Value::Text(text) = text(bytes, usize::from(length))? { Some(text) } else { None }
}

fn text(bytes: &mut &[u8], length: usize) -> Option<Value> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Value::Text(String::from_utf8_lossy(head).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "\\PC{0,20}".prop_map(Value::Text),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let pairs = prop::collection::vec(("[a-zA-Z]{1,9}", inner.clone()), 0..5);
            prop_oneof![
                pairs.clone().prop_map(Value::Object),
                pairs.prop_map(Value::Table),
                prop::collection::vec(inner, 0..5).prop_map(Value::List),
            ]
        })
    }

    #[test]
    fn writes_the_bytes_of_the_specification() {
        let values = [
            Value::text("connect"),
            Value::Number(1.0),
            Value::Object(vec![("app".into(), Value::text("live")), ("x".into(), Value::Boolean(true))]),
            Value::Null,
        ];
        let expected = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\x01x\x01\x01\0\0\x09\x05";
        assert_eq!(write_all(&values), expected);
        assert_eq!(read_all(expected), values);
        assert_eq!(write_all(&[Value::text("a".repeat(70_000))])[..5], [0x0c, 0, 1, 0x11, 0x70]);
    }

    #[test]
    fn deep_and_huge_values_end_the_reading_not_the_process() {
        let nested = [0x0a, 0, 0, 0, 1].repeat(13_000);
        assert_eq!(read_all(&nested), []);
        assert_eq!(read_all(&[0x05, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x05]), [Value::Null]);
        assert_eq!(read_all(&[0x05, 0x0c, 0xff, 0xff, 0xff, 0xff, b'x']), [Value::Null]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(value(), 0..4)) {
            prop_assert_eq!(read_all(&write_all(&values)), values);
        }

        #[test]
        fn any_bytes_are_read_up_to_somewhere(bytes in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..300)) {
            read_all(&bytes);
        }
    }
}
