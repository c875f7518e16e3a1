//! Seconds of processor time that processes have spent.

use std::collections::BTreeMap;
use std::fs;

/// Ticks of the clock in which Linux counts, a second.
const TICKS: f64 = 100.0;

/// What the children of this process have spent that have ended and been waited for.
pub fn of_children() -> f64 {
    read("self").map_or(0.0, |process| process.children)
}

/// What a process and its children have spent, ended ones included.
pub fn of_process_tree(root: u32) -> f64 {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(process) = read(&id.to_string()) {
            processes.insert(id, process);
        }
    }
    let is_in = |id: &u32| {
        let mut id = *id;
        while id != root {
            match processes.get(&id) {
                Some(process) => id = process.parent,
                None => return false,
            }
        }
        true
    };
    let inside = processes.iter().filter(|(id, _)| is_in(id));
    inside.map(|(_, process)| process.own + process.children).sum()
}

struct Process {
    parent: u32,
    own: f64,
    children: f64,
}

fn read(id: &str) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        own: (number(11)? + number(12)?) / TICKS,
        children: (number(13)? + number(14)?) / TICKS,
    })
}
