//! Canonical JSON as TUF signs it (OLPC): keys in order, no spaces, only quotes and backslashes escaped, whole numbers only.

use super::Error;
use serde_json::Value;

/// The bytes that a signature is over.
///
/// # Errors
/// [`Error::Format`] where there is a number that is not whole.
pub(super) fn canonical(value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Number(number) => return Err(Error::Format(format!("{number} is no whole number"))),
        Value::String(text) => string(text, out),
        Value::Array(items) => list(items.iter(), *b"[]", out, write)?,
        Value::Object(object) => {
            let mut items: Vec<(&String, &Value)> = object.iter().collect();
            items.sort_by_key(|(key, _)| key.as_str());
            list(items.into_iter(), *b"{}", out, |(key, value), out| {
                string(key, out);
                out.push(b':');
                write(value, out)
            })?;
        }
    }
    Ok(())
}

fn list<T>(
    items: impl Iterator<Item = T>,
    [open, close]: [u8; 2],
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(open);
    for (number, item) in items.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_is_one_and_fractions_have_none() {
        let value = json!({ "b": [1, -2, true, null], "a": { "z": "q\"\\\n", "y": {} }, "B": [] });
        let text = "{\"B\":[],\"a\":{\"y\":{},\"z\":\"q\\\"\\\\\n\"},\"b\":[1,-2,true,null]}";
        assert_eq!(canonical(&value).expect("whole numbers"), text.as_bytes());
        assert!(canonical(&json!({ "a": 0.5 })).is_err());
    }
}
