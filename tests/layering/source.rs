//! Reads Rust source as far as the import law needs it: tokens without comments and literals, without test code,
//! and the paths among them, resolved from the root of the crate.

use std::collections::HashSet;

/// A word or a sign of the source. `::` is one sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path that the source mentions: `["link", "Link"]` for `crate::link::Link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// One file, without its tests.
pub(crate) struct Source {
    tokens: Vec<Token>,
    /// Names of the modules that are declared under `#[cfg(test)]` and live in files of their own.
    pub(crate) test_modules: HashSet<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Source {
        let (tokens, test_modules) = without_tests(&tokens(text));
        Source { tokens, test_modules }
    }

    /// Where a word occurs.
    pub(crate) fn lines_with<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        self.tokens.iter().filter(|token| words.contains(&token.text.as_str())).map(|token| token.line)
    }

    /// Paths into this crate, seen from `module`, the path of the file's own module.
    pub(crate) fn references(&self, module: &[String]) -> Vec<Reference> {
        let mut found = Vec::new();
        let mut inline: Vec<(String, usize)> = Vec::new(); // modules with a body in this file, and their depth
        let mut depth = 0;
        let mut at = 0;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(_, opened)| *opened > depth);
                }
                "mod" if self.text(at + 2) == "{" => inline.push((self.text(at + 1).to_owned(), depth + 1)),
                "crate" | "tapsock" | "super" | "self" if self.begins_path(at) => {
                    let mut base = module.to_vec();
                    base.extend(inline.iter().map(|(name, _)| name.clone()));
                    at = self.tree(at, base, &mut found);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Paths into other crates of these names.
    pub(crate) fn outside(&self, names: &[&str]) -> Vec<Reference> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let named = names.contains(&self.text(at));
            if named && (self.begins_path(at) || self.before(at) == "crate") {
                at = self.tree(at, Vec::new(), &mut found);
            } else {
                at += 1;
            }
        }
        found
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |before| self.text(before))
    }

    /// A path goes on, or is imported as it is; `pub(crate)` and the value `self` are no paths. What follows `::`
    /// is the middle of a path, unless nothing stands before it: `::tokio::spawn`.
    fn begins_path(&self, at: usize) -> bool {
        const KEYWORDS: [&str; 10] = ["use", "return", "in", "as", "dyn", "impl", "for", "else", "match", "if"];
        let continues = self.text(at + 1) == "::" || self.before(at) == "use";
        let leads = |at: usize| is_word(self.text(at)) && !KEYWORDS.contains(&self.text(at));
        let middle = self.before(at) == "::" && at.checked_sub(2).is_some_and(leads);
        continues && !middle
    }

    /// Reads the path or tree of paths at `at` and gives where it ends.
    fn tree(&self, mut at: usize, mut path: Vec<String>, found: &mut Vec<Reference>) -> usize {
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        let end = self.tree(at, path.clone(), found);
                        at = end.max(at + 1);
                        if self.text(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "self" => {}
                "crate" | "tapsock" => path.clear(),
                "super" => {
                    path.pop();
                }
                word => path.push(word.to_owned()),
            }
            at += 1;
            let next = self.text(at + 1);
            if self.text(at) != "::" || !(is_word(next) || matches!(next, "{" | "*")) {
                found.push(Reference { path, line });
                return if self.text(at) == "as" { at + 2 } else { at };
            }
            at += 1;
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Splits into words and signs; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let at = |i: usize| characters.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < characters.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => i = until(&characters, i, |i| at(i) == '\n'),
            '/' if at(i + 1) == '*' => {
                let mut nested = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (nested, i) = (nested + 1, i + 2),
                        ('*', '/') => (nested, i) = (nested - 1, i + 2),
                        _ => i += 1,
                    }
                    if nested == 0 || i >= characters.len() {
                        break;
                    }
                }
            }
            '"' => i = end_of_quote(&characters, i, '"'),
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => i = end_of_quote(&characters, i, '\''),
            '\'' => i = until(&characters, i + 1, |i| !is_word(&at(i).to_string())),
            'r' | 'b' | 'c' if raw_string(&characters, i).is_some() => {
                i = raw_string(&characters, i).unwrap_or(i + 1);
            }
            first if is_word(&first.to_string()) => {
                i = until(&characters, i, |i| !is_word(&at(i).to_string()));
                tokens.push(Token { text: characters[start..i].iter().collect(), line });
            }
            ':' if at(i + 1) == ':' => {
                tokens.push(Token { text: "::".to_owned(), line });
                i += 2;
            }
            sign => {
                if !sign.is_whitespace() {
                    tokens.push(Token { text: sign.to_string(), line });
                }
                i += 1;
            }
        }
        line += characters[start..i.min(characters.len())].iter().filter(|&&c| c == '\n').count();
    }
    tokens
}

fn until(characters: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..characters.len()).find(|&i| stop(i)).unwrap_or(characters.len())
}

/// Behind the closing quote; a backslash takes the next character with it.
fn end_of_quote(characters: &[char], from: usize, quote: char) -> usize {
    let mut i = from + 1;
    while i < characters.len() && characters[i] != quote {
        i += if characters[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Where `r"…"`, `br#"…"#` and their like end; `None` for a word such as `return` or `r#type`.
fn raw_string(characters: &[char], from: usize) -> Option<usize> {
    let at = |i: usize| characters.get(i).copied().unwrap_or('\0');
    let mut i = from;
    if at(i) == 'b' || at(i) == 'c' {
        i += 1;
    }
    if at(i) != 'r' {
        return None; // b"…" and c"…" have escapes: the word is read, then the string
    }
    let hashes = until(characters, i + 1, |i| at(i) != '#') - (i + 1);
    i += 1 + hashes;
    if at(i) != '"' {
        return None;
    }
    let closes = |i: usize| at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#');
    Some(until(characters, i + 1, closes) + 1 + hashes)
}

/// Takes out what stands under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, HashSet<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let mut kept = Vec::new();
    let mut modules = HashSet::new();
    let mut at = 0;
    while at < tokens.len() {
        if MARK.iter().enumerate().all(|(i, sign)| text(at + i) == *sign) {
            let start = at + MARK.len();
            at = end_of_item(tokens, start);
            let name = (start..at).find(|&i| text(i) == "mod").map(|i| text(i + 1));
            if text(at - 1) == ";" {
                modules.extend(name.map(str::to_owned));
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, modules)
}

/// Behind the item, the field or the statement that begins at `at`. An item ends with its `;` or its body; what is
/// no item, such as a field, ends with its comma as well.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    const ITEMS: [&str; 14] = [
        "fn", "mod", "use", "impl", "struct", "enum", "union", "const", "static", "trait", "type", "unsafe", "async",
        "extern",
    ];
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    // `pub`, `pub(super)` and further attributes stand before the word that tells.
    let mut first = at;
    while matches!(text(first), "pub" | "#" | "(" | "[") {
        first = if matches!(text(first), "pub" | "#") { first + 1 } else { end_of_group(tokens, first) };
    }
    let item = ITEMS.contains(&text(first));
    let import = text(first) == "use";
    while at < tokens.len() {
        match text(at) {
            "{" if item && !import => return end_of_group(tokens, at),
            "(" | "[" | "{" => at = end_of_group(tokens, at),
            "}" | ")" | "]" => return at, // the last field of something larger
            ";" => return at + 1,
            "," if !item => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Behind the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}
