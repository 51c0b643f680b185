//! Where a key stands in a text, for mistakes that are found after reading: a value that clashes with another one.

/// 1-based line of the key path (`server.port`, `planes[1].ports.api`), in block or flow style. `None` where it is
/// not written out, for example because its default holds.
///
/// It looks at indentation and at `key:`, not at the grammar: good enough for an error message, no more.
#[must_use]
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().map(without_comment).collect();
    let mut area = Area {
        from: 0,
        to: lines.len(),
        column: 0,
    };
    let mut found = None;
    for segment in segments(path) {
        area = match segment {
            Segment::Key(key) => area.key(&lines, key)?,
            Segment::Item(index) => area.item(&lines, index)?,
        };
        found = Some(area.from + 1);
    }
    found
}

enum Segment<'a> {
    Key(&'a str),
    Item(usize),
}

fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split('.').flat_map(|part| {
        let (key, index) = match part.split_once('[') {
            Some((key, rest)) => (key, rest.trim_end_matches(']').parse().ok()),
            None => (part, None),
        };
        let key = (!key.is_empty()).then_some(Segment::Key(key));
        key.into_iter().chain(index.map(Segment::Item))
    })
}

fn without_comment(line: &str) -> &str {
    let end = line
        .char_indices()
        .find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with([' ', '\t'])))
        .map_or(line.len(), |(at, _)| at);
    line[..end].trim_end()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Lines `from..to`; on the first of them only what follows `column`.
struct Area {
    from: usize,
    to: usize,
    column: usize,
}

impl Area {
    /// The lines that say something, without what stands before the area on its first line.
    fn lines<'a>(&self, lines: &[&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
        let (from, column) = (self.from, self.column);
        (from..self.to.min(lines.len()))
            .map(|n| (n, lines[n]))
            .map(move |(n, line)| (n, if n == from { &line[column..] } else { line }))
            .filter(|(_, line)| !line.trim().is_empty())
    }

    /// The value of a key: from behind its colon to the end of the mapping's next key.
    fn key(&self, lines: &[&str], key: &str) -> Option<Self> {
        let (first, part) = self.lines(lines).next()?;
        if part.trim_start().starts_with('{') {
            return self.flow_key(lines, key);
        }
        let start = |n: usize, part: &str| lines[n].len() - part.trim_start().len();
        let depth = start(first, part);
        let (line, _) = self.lines(lines).find(|&(n, part)| {
            let rest = part.trim_start().strip_prefix(key);
            start(n, part) == depth && rest.is_some_and(|r| r.starts_with(": ") || r == ":")
        })?;
        // A list may stand as deep as the key that it belongs to.
        let ends = |n: usize| {
            let text = lines[n];
            let deep = indent(text);
            let item = text.trim_start().starts_with("- ");
            !text.is_empty() && (deep < depth || (deep == depth && !item))
        };
        Some(Self {
            from: line,
            to: (line + 1..self.to).find(|&n| ends(n)).unwrap_or(self.to),
            column: depth + key.len() + 1,
        })
    }

    /// The same in a mapping in braces.
    fn flow_key(&self, lines: &[&str], key: &str) -> Option<Self> {
        let mut depth = 0;
        for (n, part) in self.lines(lines) {
            for (at, c) in part.char_indices() {
                match c {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth -= 1,
                    _ if depth == 1 && starts_key(part, at, key) => {
                        return Some(Self {
                            from: n,
                            to: self.to,
                            column: lines[n].len() - part.len() + at + key.len() + 1,
                        });
                    }
                    _ => {}
                }
                if depth == 0 && !c.is_whitespace() {
                    return None;
                }
            }
        }
        None
    }

    /// The item of a list in block style: from behind its dash to the next dash of the same depth.
    fn item(&self, lines: &[&str], index: usize) -> Option<Self> {
        let dashes: Vec<usize> = self
            .lines(lines)
            .filter(|(_, line)| line.trim_start().starts_with("- "))
            .map(|(n, _)| n)
            .collect();
        let depth = indent(lines[*dashes.first()?]);
        let mut items = dashes.into_iter().filter(|&n| indent(lines[n]) == depth);
        let from = items.nth(index)?;
        Some(Self {
            from,
            to: items.next().unwrap_or(self.to),
            column: depth + 2,
        })
    }
}

/// Whether `key:` begins at a byte of a line in braces.
fn starts_key(line: &str, at: usize, key: &str) -> bool {
    let before = line[..at].chars().next_back();
    let Some(rest) = line[at..].strip_prefix(key) else {
        return false;
    };
    before.is_none_or(|c| " {,\t".contains(c)) && (rest.starts_with(": ") || rest == ":")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "\
listen: 127.0.0.1 # port: 1
server: { port: 9090, retention: 15d }

dashboard:
  port: 3000
planes:
  # - name: no
  - name: a
    environment: a
    ports: { api: 1, payments: 2 }
  - environment: b
    name: b
    ports:
      api: 3
      payments: 2
orders:
  traffic: { rate: 1 }
";

    #[test]
    fn keys_are_found_in_block_and_flow_style() {
        for (path, line) in [
            ("listen", Some(1)),
            ("server", Some(2)),
            ("server.port", Some(2)),
            ("server.retention", Some(2)),
            ("server.config", None),
            ("dashboard.port", Some(5)),
            ("planes[0].name", Some(8)),
            ("planes[0].ports.payments", Some(10)),
            ("planes[1].name", Some(12)),
            ("planes[1].ports.api", Some(14)),
            ("planes[1].ports.payments", Some(15)),
            ("planes[1].faults.error_rate", None),
            ("planes[2].name", None),
            ("orders.traffic.rate", Some(17)),
            ("orders.port", None),
            ("port", None),
        ] {
            assert_eq!(line_of(TEXT, path), line, "{path}");
        }
    }

    #[test]
    fn a_list_may_stand_as_deep_as_its_key() {
        let text =
            "planes:\n- name: a\n  ports: { api: 1 }\n- name: b\n  ports: { api: 1 }\nserver: {}\n";
        assert_eq!(line_of(text, "planes[1].ports.api"), Some(5));
        assert_eq!(line_of(text, "server"), Some(6));
    }
}
