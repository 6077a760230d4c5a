//! The events that training leaves for TensorBoard, read as TensorBoard reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nascent::data::Silent;
use nascent::pipeline;

use crate::damage::{EndingIn, job, settings};
use crate::program::Program;

/// Points of each scalar: steps and values; every histogram has its count of values.
type Points = BTreeMap<String, Vec<(u64, f64)>>;

/// A field of a message of protocol buffers.
enum Field<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
}

fn number(bytes: &mut &[u8]) -> u64 {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
    let (digits, rest) = bytes.split_at(length);
    *bytes = rest;
    digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f))
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, Field::Integer(number(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => number(&mut bytes) as usize,
            5 => 4,
            other => panic!("no such kind of field: {other}"),
        };
        let (field, rest) = bytes.split_at(length);
        found.push((key >> 3, Field::Bytes(field)));
        bytes = rest;
    }
    found
}

fn bytes<'a>(message: &[(u64, Field<'a>)], wanted: u64) -> Option<&'a [u8]> {
    message.iter().find_map(|(number, field)| match field {
        Field::Bytes(bytes) if *number == wanted => Some(*bytes),
        _ => None,
    })
}

fn integer(message: &[(u64, Field<'_>)], wanted: u64) -> Option<u64> {
    message.iter().find_map(|(number, field)| match field {
        Field::Integer(value) if *number == wanted => Some(*value),
        _ => None,
    })
}

/// CRC-32C with the mask of records.
fn masked(bytes: &[u8]) -> u32 {
    let sum = !bytes
        .iter()
        .fold(u32::MAX, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| sum >> 1 ^ (0x82f6_3b78 * (sum & 1))));
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The events of a file: of each a length, its checksum, the event, its checksum.
fn records(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let sum = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    while !text.is_empty() {
        let length = u64::from_le_bytes(text[..8].try_into().expect("eight bytes")) as usize;
        assert_eq!(sum(&text[8..12]), masked(&text[..8]));
        let event = &text[12..12 + length];
        assert_eq!(sum(&text[12 + length..16 + length]), masked(event));
        found.push(event.to_vec());
        text = &text[16 + length..];
    }
    found
}

/// Values in all bars of a histogram: as many as it says it is of.
fn bars(histogram: &[u8]) -> f64 {
    let histogram = fields(histogram);
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let bars = bytes(&histogram, 7).expect("bars").chunks(8).map(number).sum();
    assert_eq!(bytes(&histogram, 3).map(number), Some(bars));
    bars
}

/// What TensorBoard shows of a folder, but for speeds; and how many points it was told to forget.
fn shown(folder: &Path) -> (Points, usize) {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents")));
    files.sort();
    let (mut points, mut forgotten) = (Points::new(), 0);
    for file in files {
        for (at, record) in records(&fs::read(file).expect("readable")).iter().enumerate() {
            let event = fields(record);
            // Zero is not written.
            let step = integer(&event, 2).unwrap_or(0);
            assert_eq!(at == 0, bytes(&event, 3) == Some(b"brain.Event:2"));
            if bytes(&event, 7).is_some_and(|log| integer(&fields(log), 1) == Some(1)) {
                for values in points.values_mut() {
                    let before = values.len();
                    values.retain(|(known, _)| *known < step);
                    forgotten += before - values.len();
                }
            }
            for (_, value) in fields(bytes(&event, 5).unwrap_or_default()) {
                let Field::Bytes(value) = value else { panic!("a value is a message") };
                let value = fields(value);
                let name = String::from_utf8(bytes(&value, 1).expect("a name").to_vec()).expect("UTF-8");
                let number = bytes(&value, 2).map_or_else(
                    || bars(bytes(&value, 5).expect("a number or a histogram")),
                    |number| f64::from(f32::from_le_bytes(number.try_into().expect("four bytes"))),
                );
                if !name.starts_with("speed/") {
                    points.entry(name).or_default().push((step, number));
                }
            }
        }
    }
    (points, forgotten)
}

#[test]
fn tensorboard_shows_each_step_of_a_run_that_repeats_some_once_and_as_without_repetition() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 20, 1);
    let config = settings();
    let never = || Arc::new(AtomicBool::new(false));
    pipeline::train(&config, &job(&program, "whole", false), Box::new(Silent), never()).expect("a run");
    let (reporter, stop) = EndingIn::stage("round 1");
    pipeline::train(&config, &job(&program, "parts", false), Box::new(reporter), stop).expect_err("it is interrupted");
    // The run goes on from the checkpoint before the last, and logs the epoch between them again.
    fs::write(program.path("parts.run/checkpoints/last.ckpt"), "lost").expect("written");
    pipeline::train(&config, &job(&program, "parts", true), Box::new(Silent), never()).expect("the run goes on");
    let ((whole, none), (parts, some)) = (shown(&program.path("whole.run")), shown(&program.path("parts.run")));
    assert!(none == 0 && some > 0, "{none}, {some}");
    assert!(whole["train/loss"].len() > 10 && whole.keys().any(|name| name.starts_with("parameters/")), "{whole:?}");
    // The start's errors are no bound, and its curve is another.
    let steps = |tag: &str| whole[tag].iter().map(|point| point.0).collect::<Vec<_>>();
    assert!(steps("train/error").last() < steps("train/loss").first(), "{whole:?}");
    assert_eq!(whole, parts);
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_a_run() {
    let program = Program::new();
    program.simulate("counts.h5ad", 150, 20, 1);
    let words = format!("train --input counts.h5ad --output out.h5ad {}", crate::runs::SHORT);
    let (reporter, stop) = EndingIn::stage("times and states");
    pipeline::train(&settings(), &job(&program, "out", false), Box::new(reporter), stop).expect_err("interrupted");
    fs::remove_file(program.path("out.run/metrics.jsonl")).expect("removed");
    fs::create_dir(program.path("out.run/metrics.jsonl")).expect("in the way");
    let output = program.run(&format!("{words} --resume"));
    let said = crate::program::errors(&output);
    assert!(output.status.success() && said.matches("training goes on without it").count() == 1, "{said}");
}
