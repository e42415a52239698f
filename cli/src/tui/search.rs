use crate::render::Line;

/// What is looked for in the payload.
#[derive(Debug, Default)]
pub(super) struct Search {
    text: String,
    is_edited: bool,
}

impl Search {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_edited(&self) -> bool {
        self.is_edited
    }

    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.is_edited = true;
    }

    /// Keeps what was typed.
    pub(super) fn end(&mut self) {
        self.is_edited = false;
    }

    pub(super) fn cancel(&mut self) {
        self.text.clear();
        self.is_edited = false;
    }

    pub(super) fn push(&mut self, letter: char) {
        self.text.push(letter);
    }

    pub(super) fn pop(&mut self) {
        self.text.pop();
    }

    /// Whether a line has the text, without regard to case.
    pub(super) fn fits(&self, line: &Line) -> bool {
        if self.text.is_empty() {
            return false;
        }
        let parts = line.parts().iter().map(|part| part.text.as_str());
        let whole: String = parts.collect();
        whole.to_lowercase().contains(&self.text.to_lowercase())
    }

    /// The next line that fits after `from`, or the one before, around the end; `from` itself
    /// counts last.
    pub(super) fn next(&self, lines: &[Line], from: usize, backwards: bool) -> Option<usize> {
        let count = lines.len();
        (1..=count)
            .map(|step| {
                let step = if backwards { count - step } else { step };
                (from + step) % count
            })
            .find(|line| self.fits(&lines[*line]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Role;

    #[test]
    fn hits_are_found_in_both_directions_and_around_the_end() {
        let lines = ["Äpfel", "pears", "ÄPFEL", ""].map(|text| Line::of(Role::Plain, text));
        let mut search = Search::default();
        assert_eq!(search.next(&lines, 0, false), None, "nothing is looked for");
        search.begin();
        "äpf".chars().for_each(|letter| search.push(letter));
        assert_eq!(search.next(&lines, 0, false), Some(2));
        assert_eq!(search.next(&lines, 2, false), Some(0));
        assert_eq!(search.next(&lines, 0, true), Some(2));
        assert_eq!(search.next(&[], 0, true), None);
    }
}
