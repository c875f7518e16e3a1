use super::*;

fn entry(id: DumpId, desc: &str, tag: &str, section: Section, needs: &[DumpId]) -> Entry {
    Entry {
        namespace: Some("public".into()),
        dependencies: needs.to_vec(),
        had_dumper: desc == "TABLE DATA",
        ..Entry::new(id, desc, tag, section)
    }
}

fn schedule(entries: &[Entry], weights: &[u64]) -> Schedule {
    let mut schedule = Schedule::new(entries, &vec![true; entries.len()], weights);
    schedule.take_serial();
    schedule
}

#[test]
fn an_index_waits_for_every_chunk_of_its_table() {
    let entries = [
        entry(1, "TABLE", "t", Section::PreData, &[]),
        entry(2, "TABLE DATA", "t", Section::Data, &[]),
        entry(3, "TABLE DATA", "t", Section::Data, &[]),
        entry(4, "INDEX", "i", Section::PostData, &[1]),
    ];
    let mut schedule = schedule(&entries, &[0, 10, 20, 0]);
    assert_eq!(schedule.next(), Next::Run(2), "the larger chunk goes first");
    assert_eq!(schedule.next(), Next::Run(1));
    assert_eq!(schedule.next(), Next::Wait);
    schedule.finish(2);
    assert_eq!(schedule.next(), Next::Wait);
    schedule.finish(1);
    assert_eq!(schedule.next(), Next::Run(3));
    schedule.finish(3);
    assert_eq!(schedule.next(), Next::Finished);
}

#[test]
fn indexes_of_one_table_run_together_and_constraints_alone() {
    let entries = [
        entry(1, "TABLE", "t", Section::PreData, &[]),
        entry(2, "INDEX", "a", Section::PostData, &[1]),
        entry(3, "INDEX", "b", Section::PostData, &[1]),
        entry(4, "CONSTRAINT", "c", Section::PostData, &[1]),
        entry(5, "TABLE", "u", Section::PreData, &[]),
        entry(6, "FK CONSTRAINT", "f", Section::PostData, &[5, 1]),
    ];
    let mut schedule = schedule(&entries, &[0; 6]);
    assert_eq!(schedule.next(), Next::Run(1));
    assert_eq!(schedule.next(), Next::Run(2));
    assert_eq!(schedule.next(), Next::Wait);
    schedule.finish(1);
    assert_eq!(schedule.next(), Next::Wait);
    schedule.finish(2);
    assert_eq!(schedule.next(), Next::Run(3));
    assert_eq!(schedule.next(), Next::Wait, "the foreign key uses table t too");
    schedule.finish(3);
    assert_eq!(schedule.next(), Next::Run(5));
    schedule.finish(5);
    assert_eq!(schedule.next(), Next::Finished);
}

#[test]
fn another_tables_index_is_built_while_data_is_still_copied() {
    let entries = [
        entry(1, "TABLE", "small", Section::PreData, &[]),
        entry(2, "TABLE", "large", Section::PreData, &[]),
        entry(3, "TABLE DATA", "small", Section::Data, &[1]),
        entry(4, "TABLE DATA", "large", Section::Data, &[2]),
        entry(5, "INDEX", "i", Section::PostData, &[1]),
    ];
    let mut schedule = schedule(&entries, &[0, 0, 1, 100, 0]);
    assert_eq!(schedule.next(), Next::Run(3));
    assert_eq!(schedule.next(), Next::Run(2));
    schedule.finish(2);
    assert_eq!(schedule.next(), Next::Run(4));
}

#[test]
fn grants_come_after_everything_and_event_triggers_last() {
    let entries = [
        entry(1, "TABLE", "t", Section::PreData, &[]),
        entry(2, "ACL", "TABLE t", Section::None, &[1]),
        entry(3, "TABLE DATA", "t", Section::Data, &[1]),
        entry(4, "EVENT TRIGGER", "e", Section::PostData, &[]),
        entry(5, "COMMENT", "EVENT TRIGGER e", Section::None, &[4]),
        entry(6, "COMMENT", "TABLE t", Section::None, &[1]),
        entry(7, "MATERIALIZED VIEW DATA", "m", Section::PostData, &[1]),
    ];
    let mut schedule = schedule(&entries, &[0; 7]);
    let mut order = Vec::new();
    while let Next::Run(index) = schedule.next() {
        schedule.finish(index);
        order.push(index);
    }
    assert_eq!(order, [2, 5, 1, 3, 4, 6]);
}

#[test]
fn what_is_not_wanted_passes_its_dependencies_on() {
    let entries = [
        entry(1, "TABLE", "t", Section::PreData, &[]),
        entry(2, "TABLE DATA", "t", Section::Data, &[1]),
        entry(3, "INDEX", "i", Section::PostData, &[1]),
    ];
    let mut schedule = Schedule::new(&entries, &[true, false, true], &[0; 3]);
    assert_eq!(schedule.take_serial(), [0]);
    assert_eq!(schedule.next(), Next::Run(2));
    schedule.finish(2);
    assert_eq!(schedule.next(), Next::Finished);
}

#[test]
fn a_loop_of_dependencies_ends() {
    let entries = [
        entry(1, "INDEX", "a", Section::PostData, &[2]),
        entry(2, "INDEX", "b", Section::PostData, &[1]),
        entry(3, "INDEX", "c", Section::PostData, &[3, 99]),
    ];
    let mut schedule = schedule(&entries, &[0; 3]);
    let mut order = Vec::new();
    while let Next::Run(index) = schedule.next() {
        schedule.finish(index);
        order.push(index);
    }
    assert_eq!(order, [2, 0, 1]);
}

#[test]
fn rows_loaded_through_a_partition_root_hold_every_index_back() {
    let mut through_root = entry(3, "TABLE DATA", "p1", Section::Data, &[1]);
    through_root.defn = "-- load via partition root public.p\n".into();
    let entries = [
        entry(1, "TABLE", "p1", Section::PreData, &[]),
        entry(2, "TABLE", "p2", Section::PreData, &[]),
        through_root,
        entry(4, "TABLE DATA", "p2", Section::Data, &[2]),
        entry(5, "INDEX", "i", Section::PostData, &[2]),
    ];
    let mut schedule = schedule(&entries, &[0; 5]);
    assert_eq!(schedule.next(), Next::Run(2));
    assert_eq!(schedule.next(), Next::Run(3));
    schedule.finish(3);
    assert_eq!(schedule.next(), Next::Wait);
}
