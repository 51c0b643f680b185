//! Lists and members of objects, for answers written by hand.

use super::json;

/// Appends a list.
pub(crate) fn push_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// Appends the name of a member that is not the first.
pub(crate) fn push_name(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

/// Appends a text member that is not the first.
pub(crate) fn push_text(out: &mut String, name: &str, text: &str) {
    push_name(out, name);
    json::push_str(out, text);
}
