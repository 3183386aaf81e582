//! A text terminal: 20x4 characters in a frame, on the console of a box with a screen, or on a desk.

use super::super::canvas::TEXT;
use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

// console_codes(4): clear and hide the cursor; go to the top left; show the cursor.
const BEGIN: &str = "\x1b[2J\x1b[?25l";
const HOME: &str = "\x1b[H";
const END: &str = "\x1b[?25h";

/// An open terminal.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    begun: bool,
}

impl Terminal {
    /// Opens the terminal at `device`, without becoming its process and without waiting when it is stopped (Ctrl-S).
    ///
    /// # Errors
    /// It is not there or may not be written.
    pub fn open(device: &Path) -> io::Result<Self> {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = File::options().write(true).custom_flags(flags).open(device)?;
        Ok(Self { file, begun: false })
    }

    /// Shows `cells`.
    ///
    /// # Errors
    /// It is gone, or takes nothing.
    pub fn show(&mut self, cells: &[[char; TEXT.0]; TEXT.1]) -> io::Result<()> {
        let mut text = String::from(if self.begun { HOME } else { BEGIN });
        if !self.begun {
            text.push_str(HOME);
        }
        text.push_str(&framed(cells));
        let written = self.file.write_all(text.as_bytes());
        self.begun = written.is_ok();
        written
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.file.write_all(END.as_bytes());
    }
}

fn framed(cells: &[[char; TEXT.0]; TEXT.1]) -> String {
    let edge = "─".repeat(TEXT.0);
    let mut text = format!("┌{edge}┐\r\n");
    for row in cells {
        // Status texts hold what settings hold; a control character would move the cursor.
        let row: String = row.iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
        text += &format!("│{row}│\r\n");
    }
    text + &format!("└{edge}┘\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stand_in_a_frame_from_the_top_left() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut cells = [[' '; TEXT.0]; TEXT.1];
        cells[1][0] = 'A';
        cells[1][1] = '\x1b';
        let mut terminal = Terminal::open(file.path()).expect("opened");
        terminal.show(&cells).expect("shown");
        terminal.show(&cells).expect("shown");
        drop(terminal);
        let text = std::fs::read_to_string(file.path()).expect("text");
        let row = format!("│A{}│", " ".repeat(19));
        assert_eq!(text.matches(&row).count(), 2, "{text}");
        assert!(text.starts_with(&format!("{BEGIN}{HOME}┌")) && text.ends_with(END), "{text}");
    }
}
