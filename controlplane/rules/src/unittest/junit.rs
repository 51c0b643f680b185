//! The report in JUnit's XML.

use std::fmt::Write as _;

/// All files.
#[derive(Clone, Debug, Default)]
pub struct JunitReport {
    /// One for each file.
    pub suites: Vec<JunitSuite>,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub struct JunitSuite {
    /// The file.
    pub name: String,
    /// When it was run; empty when it was not.
    pub timestamp: String,
    /// Files that could not be run.
    pub errors: usize,
    /// Tests with a name, or made for an error.
    pub cases: Vec<JunitCase>,
}

/// One test group.
#[derive(Clone, Debug, Default)]
pub struct JunitCase {
    /// Its name.
    pub name: String,
    /// What failed.
    pub failures: Vec<String>,
    /// Why it could not be run.
    pub error: String,
}

impl JunitSuite {
    /// A file.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Notes that the file could not be run.
    pub(super) fn abort(&mut self, error: &str) {
        self.errors += 1;
        if self.cases.is_empty() {
            self.cases.push(JunitCase {
                name: "unknown".to_owned(),
                ..JunitCase::default()
            });
        }
        if let Some(case) = self.cases.last_mut() {
            error.clone_into(&mut case.error);
        }
    }

    /// A test with what failed in it.
    pub(super) fn case(&mut self, name: &str, failures: &[String]) {
        self.cases.push(JunitCase {
            name: name.to_owned(),
            failures: failures.to_vec(),
            error: String::new(),
        });
    }
}

impl JunitReport {
    /// The XML.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut out = String::from("<testsuites>");
        for suite in &self.suites {
            let failures: usize = suite.cases.iter().map(|c| c.failures.len()).sum();
            let _ = write!(
                out,
                "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{}\" skipped=\"0\" timestamp=\"{}\">",
                escape(&suite.name),
                suite.cases.len(),
                suite.errors,
                escape(&suite.timestamp)
            );
            for case in &suite.cases {
                let _ = write!(out, "<testcase name=\"{}\">", escape(&case.name));
                for failure in &case.failures {
                    let _ = write!(out, "<failure>{}</failure>", escape(failure));
                }
                if !case.error.is_empty() {
                    let _ = write!(out, "<error>{}</error>", escape(&case.error));
                }
                out.push_str("</testcase>");
            }
            out.push_str("</testsuite>");
        }
        out.push_str("</testsuites>");
        out
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            // XML has no way to write them.
            c if c < ' ' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
