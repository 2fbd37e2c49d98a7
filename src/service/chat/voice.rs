//! How a client is answered: with the tags it has asked for, and under the label of its question
//! (IRCv3 labeled-response).

use super::capability::Capabilities;
use super::letter::Letter;
use super::lines::{LONGEST, cut};
use crate::session::Output;

/// The longest label, still escaped (IRCv3 labeled-response).
const LONGEST_LABEL: usize = 64;

/// What is known of how to answer.
#[derive(Default)]
pub struct Voice {
    pub capabilities: Capabilities,
    /// Those that cannot be given up again.
    pub lasting: Capabilities,
    question: Option<Question>,
    /// Batches so far, which names them.
    batches: u64,
    /// Said once the answer is complete, and outside of it.
    after: Vec<Line>,
}

/// A question with a label, and what was answered to it.
struct Question {
    label: String,
    /// The only line so far. It may need no batch.
    first: Option<Line>,
    /// The tag of the lines in the batch that was begun.
    batch: Option<String>,
}

struct Line {
    tags: String,
    text: String,
}

impl Voice {
    /// From here on lines answer the question with this label, if the client wants that.
    pub fn begin(&mut self, label: Option<&str>) {
        let wanted = Capabilities::LABELED_RESPONSE.with(Capabilities::BATCH);
        let label = label.filter(|label| !label.is_empty() && label.len() <= LONGEST_LABEL);
        self.question = label.filter(|_| self.capabilities.have(wanted)).map(|label| Question {
            label: label.into(),
            first: None,
            batch: None,
        });
    }

    /// Says a line, `tags` for those with message-tags in front of it.
    pub fn say(&mut self, tags: &str, text: &str, server: &str, out: &mut Output) {
        let text = cut(text, LONGEST);
        let Some(question) = &mut self.question else {
            return write(self.capabilities, "", tags, text, out);
        };
        if question.batch.is_none() && question.first.is_none() {
            question.first = Some(Line { tags: tags.into(), text: text.into() });
            return;
        }
        self.open_batch(server, out);
        let own = self.question.as_ref().and_then(|question| question.batch.as_deref());
        write(self.capabilities, own.unwrap_or_default(), tags, text, out);
    }

    /// Says a line that is no part of the answer, behind it.
    pub fn say_after(&mut self, tags: &str, text: &str) {
        self.after.push(Line { tags: tags.into(), text: cut(text, LONGEST).into() });
    }

    /// More lines follow than are known yet.
    pub fn open_batch(&mut self, server: &str, out: &mut Output) {
        let Some(question) = &mut self.question else {
            return;
        };
        if question.batch.is_some() {
            return;
        }
        self.batches += 1;
        let name = self.batches;
        let own = format!("label={}", question.label);
        let begin = format!(":{server} BATCH +{name} labeled-response");
        write(self.capabilities, &own, "", &begin, out);
        let batch = format!("batch={name}");
        if let Some(first) = question.first.take() {
            write(self.capabilities, &batch, &first.tags, &first.text, out);
        }
        question.batch = Some(batch);
    }

    /// The answer is complete, though it may be empty.
    pub fn finish(&mut self, server: &str, out: &mut Output) {
        if let Some(Question { label, first, batch }) = self.question.take() {
            let own = format!("label={label}");
            match (batch, first) {
                (Some(batch), _) => {
                    let name = batch.trim_start_matches("batch=");
                    write(self.capabilities, "", "", &format!(":{server} BATCH -{name}"), out);
                }
                (None, Some(Line { tags, text })) => {
                    write(self.capabilities, &own, &tags, &text, out);
                }
                (None, None) => {
                    write(self.capabilities, &own, "", &format!(":{server} ACK"), out);
                }
            }
        }
        for Line { tags, text } in self.after.drain(..) {
            write(self.capabilities, "", &tags, &text, out);
        }
    }
}

fn write(capabilities: Capabilities, own: &str, tags: &str, text: &str, out: &mut Output) {
    Letter { tags, ..Letter::new(text) }.write(capabilities, own, out);
}
