//! Messages of multicast DNS (RFC 6762 section 18): read within limits, and written.
//!
//! Whoever is on the network may send anything. What is no message is nothing; of a message that is longer than any
//! that is honest, the beginning is read.

use domain::{
    base::{
        Message as Wire, MessageBuilder, Name, ParsedRecord, Rtype, ToName as _, Ttl,
        iana::{Class, Opcode, Rcode},
        message::RecordSection,
        rdata::{ComposeRecordData as _, UnknownRecordData},
    },
    rdata::AllRecordData,
};

/// The largest message (RFC 6762 section 17).
pub(super) const MOST_BYTES: usize = 9000;
/// The questions of one message that are read.
const MOST_QUESTIONS: usize = 16;
/// The records of one part of a message that are read.
const MOST_RECORDS: usize = 48;
/// The top bit of a class: a record that has one owner (RFC 6762 section 10.2), or a question that may be answered
/// to the asker alone (section 5.4).
const TOP_BIT: u16 = 0x8000;

/// A name, in the form that messages have; it does not matter whether its letters are large or small.
pub(super) type Owner = Name<Vec<u8>>;

/// What somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: Owner,
    pub(super) kind: Rtype,
    /// Whether the asker would take the answer alone.
    pub(super) is_for_one: bool,
}

/// What somebody says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: Owner,
    pub(super) kind: Rtype,
    /// Whether nobody else may say something of this kind.
    pub(super) is_unique: bool,
    /// How long it may be believed; 0 says that it is no longer so (RFC 6762 section 10.1).
    pub(super) ttl_s: u32,
    /// Without compression.
    pub(super) data: Vec<u8>,
}

impl Record {
    /// Whether both say the same, however long it may be believed.
    pub(super) fn says(&self, other: &Self) -> bool {
        self.kind == other.kind && self.data == other.data && self.owner == other.owner
    }
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Only who asks from another port than 5353 has one (RFC 6762 section 18.1).
    pub(super) id: u16,
    pub(super) is_response: bool,
    pub(super) questions: Vec<Question>,
    pub(super) answers: Vec<Record>,
    /// In a question: what the asker is about to say (RFC 6762 section 8.2).
    pub(super) intended: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

impl Message {
    /// What was sent; `None` if it is no message that counts (RFC 6762 sections 18.3 and 18.11).
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let wire = Wire::from_slice(bytes.get(..bytes.len().min(MOST_BYTES))?).ok()?;
        let header = wire.header();
        if header.opcode() != Opcode::QUERY || header.rcode() != Rcode::NOERROR {
            return None;
        }
        let mut questions = Vec::new();
        let mut asked = wire.question();
        for question in asked.by_ref().take(MOST_QUESTIONS) {
            let question = question.ok()?;
            questions.push(Question {
                name: question.qname().to_name(),
                kind: question.qtype(),
                is_for_one: question.qclass().to_int() & TOP_BIT != 0,
            });
        }
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        let mut section = asked.next_section().ok();
        for records in &mut sections {
            let Some(mut current) = section else { break };
            if !read_records(&mut current, records) {
                break;
            }
            section = current.next_section().ok().flatten();
        }
        let [answers, intended, additional] = sections;
        Some(Self {
            id: header.id(),
            is_response: header.qr(),
            questions,
            answers,
            intended,
            additional,
        })
    }

    /// The bytes to send.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec();
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_qr(self.is_response);
        // RFC 6762 section 18.4.
        header.set_aa(self.is_response);
        let mut builder = builder.question();
        for question in &self.questions {
            let top = if question.is_for_one { TOP_BIT } else { 0 };
            let class = Class::from_int(Class::IN.to_int() | top);
            // A vector has room for everything.
            let _ = builder.push((&question.name, question.kind, class));
        }
        let mut builder = builder.answer();
        for record in &self.answers {
            let _ = builder.push(composed(record));
        }
        let mut builder = builder.authority();
        for record in &self.intended {
            let _ = builder.push(composed(record));
        }
        let mut builder = builder.additional();
        for record in &self.additional {
            let _ = builder.push(composed(record));
        }
        builder.finish()
    }
}

fn composed(record: &Record) -> (&Owner, Class, Ttl, UnknownRecordData<&[u8]>) {
    let top = if record.is_unique { TOP_BIT } else { 0 };
    let class = Class::from_int(Class::IN.to_int() | top);
    let data = UnknownRecordData::from_octets(record.kind, record.data.as_slice())
        .expect("what we say of a name is short");
    (&record.owner, class, Ttl::from_secs(record.ttl_s), data)
}

/// Reads a part of a message; says whether there may be more behind it.
fn read_records(section: &mut RecordSection<'_, [u8]>, into: &mut Vec<Record>) -> bool {
    for record in section.by_ref().take(MOST_RECORDS) {
        let Ok(record) = record else { return false };
        into.extend(read_record(&record));
    }
    true
}

fn read_record(record: &ParsedRecord<'_, [u8]>) -> Option<Record> {
    let class = record.class().to_int();
    if class & !TOP_BIT != Class::IN.to_int() {
        return None;
    }
    let data = record
        .to_any_record::<AllRecordData<_, _>>()
        .ok()?
        .into_data();
    let mut bytes = Vec::new();
    data.compose_rdata(&mut bytes).ok()?;
    Some(Record {
        owner: record.owner().to_name(),
        kind: record.rtype(),
        is_unique: class & TOP_BIT != 0,
        ttl_s: record.ttl().as_secs(),
        data: bytes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Owner {
        text.parse().unwrap()
    }

    fn sample() -> Message {
        let record = |kind, data: &[u8]| Record {
            owner: name("pi.local"),
            kind,
            is_unique: true,
            ttl_s: 120,
            data: data.to_vec(),
        };
        Message {
            id: 7,
            is_response: true,
            questions: vec![Question {
                name: name("pi.local"),
                kind: Rtype::ANY,
                is_for_one: true,
            }],
            answers: vec![record(Rtype::A, &[10, 0, 0, 1])],
            intended: vec![record(Rtype::AAAA, &[1; 16])],
            additional: vec![record(Rtype::TXT, b"\x06path=/")],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Message::read(&sample().write()), Some(sample()));
    }

    #[test]
    fn a_name_that_leads_to_itself_is_no_message() {
        // One question, whose name is a pointer to itself, to the next one, or to its own beginning.
        for pointer in [&[0xC0, 12][..], &[0xC0, 14], &[1, b'a', 0xC0, 12]] {
            let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            bytes.extend(pointer);
            bytes.extend([0xC0, 12, 0, 1, 0, 1]);
            assert_eq!(Message::read(&bytes), None);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(
            at in 0usize..120, with in proptest::collection::vec(any::<u8>(), 0..9), cut in 0usize..140,
            noise in proptest::collection::vec(any::<u8>(), 0..9001),
        ) {
            let _ = Message::read(&noise);
            let mut bytes = sample().write();
            for (i, byte) in with.iter().enumerate() {
                if let Some(there) = bytes.get_mut(at + i) {
                    *there = *byte;
                }
            }
            bytes.truncate(cut);
            if let Some(message) = Message::read(&bytes) {
                let _ = message.write();
            }
        }

        #[test]
        fn a_giant_message_is_read_in_part(count in 1u16..=u16::MAX, byte in any::<u8>()) {
            let mut bytes = vec![0, 0, 0x84, 0];
            bytes.extend([0, 0]);
            bytes.extend(count.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.resize(MOST_BYTES * 2, byte);
            if let Some(message) = Message::read(&bytes) {
                prop_assert!(message.answers.len() <= MOST_RECORDS);
            }
        }
    }
}
