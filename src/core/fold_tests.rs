//! What the fold promises, over directed histories and over arbitrary ones.

use super::*;
use crate::core::record::tests::any_record;
use proptest::prelude::*;

const LIMIT: u128 = 7;
const BUCKET: BucketId = BucketId(42);

fn define(version: u64, rate: u64, burst: u64) -> Op {
    Op::Define(Define { limit: LIMIT, version, rate: Rate(rate), burst: Tokens(burst), name: String::new() })
}

fn claim(released: u64, tokens: u64, want: u64) -> Op {
    let released = Amounts { rate: released.into(), burst: released.into(), tokens: tokens.into() };
    let (want, min) = (Rate(want), Tokens(1));
    Op::Claim(Claim { bucket: BUCKET, limit: LIMIT, name: String::new(), released, want, min, requeue: false })
}

fn hello(nonce: u64, ops: Vec<Op>) -> Record {
    let sender = Sender::Hello { ttl_ms: 10_000, newest_format: 1, lock: 0, note: String::new() };
    Record { sender, nonce, seq: 1, tag: 0, digest: None, ops }
}

fn said(session: u64, nonce: u64, seq: u64, ops: Vec<Op>) -> Record {
    Record { sender: Sender::Session(session), nonce, seq, tag: 0, digest: None, ops }
}

/// Offsets count up by themselves.
pub(crate) fn run(records: impl IntoIterator<Item = Record>) -> Fold {
    let mut fold = Fold::default();
    for record in records {
        let offset = fold.next();
        fold.apply(offset, &record);
        check(&fold);
    }
    fold
}

/// The invariants that hold at every offset while no limit was lowered.
fn check(fold: &Fold) {
    for shared in fold.buckets.values() {
        let limit = fold.limits[&shared.limit];
        let (rate, burst) = shared.held();
        assert!(rate <= limit.rate.0.into(), "shares of the rate add up to {rate}: {shared:?}");
        assert!(burst + u128::from(shared.pool.0) <= limit.burst.0.into(), "burst and pool: {shared:?}");
    }
}

fn share(fold: &Fold, session: u64) -> u64 {
    fold.bucket(BUCKET).and_then(|shared| shared.lease(session)).map_or(0, |lease| lease.share().rate.0)
}

fn two() -> Vec<Record> {
    vec![hello(10, vec![define(1, 1_000_000_000_000, 1000), claim(0, 0, 600)]), hello(11, vec![claim(0, 0, 600)])]
}

const ALL: u64 = 1_000_000_000_000;

#[test]
fn the_first_gets_all_and_a_second_nothing_until_the_first_gives() {
    let fold = run(two());
    assert_eq!((share(&fold, 0), share(&fold, 1)), (ALL, 0));
    let shared = fold.bucket(BUCKET).unwrap();
    assert_eq!((shared.pool, shared.leases[0].granted.tokens), (Tokens::ZERO, 1000));
}

#[test]
fn what_one_gives_back_goes_to_the_other_with_its_tokens_and_no_more() {
    let mut records = two();
    let half = Amounts { rate: u128::from(ALL / 2), burst: 500, tokens: 120 };
    let Op::Claim(give) = claim(0, 0, 600) else { unreachable!() };
    records.push(said(0, 10, 2, vec![Op::Claim(Claim { released: half, ..give })]));
    let fold = run(records);
    assert_eq!((share(&fold, 0), share(&fold, 1)), (ALL / 2, ALL / 2));
    assert_eq!(fold.bucket(BUCKET).unwrap().lease(1).unwrap().granted.tokens, 120);
}

#[test]
fn returned_tokens_count_once_however_often_they_are_said() {
    let mut records = two();
    records.push(said(0, 10, 2, vec![claim(400, 400, 600)]));
    let once = run(records.clone());
    records.push(said(0, 10, 3, vec![claim(400, 400, 600)]));
    let twice = run(records);
    assert_eq!(once.buckets, twice.buckets);
}

#[test]
fn a_record_out_of_sequence_changes_nothing_but_the_next_one_does() {
    let mut records = two();
    records.push(said(0, 10, 3, vec![]));
    let before = run(records.clone());
    records.push(said(0, 10, 2, vec![claim(900, 0, 600)]));
    assert_eq!(run(records.clone()).buckets, before.buckets);
    records.push(said(0, 10, 4, vec![claim(900, 0, 600)]));
    assert_ne!(run(records).buckets, before.buckets);
}

#[test]
fn a_session_is_evicted_only_with_its_last_sequence_number() {
    let mut records = two();
    records.push(said(0, 10, 2, vec![]));
    records.push(said(1, 11, 2, vec![Op::Evict { session: 0, seq: 1 }]));
    assert_eq!(share(&run(records.clone()), 0), ALL, "it spoke after what the evictor saw");
    records.push(said(1, 11, 3, vec![Op::Evict { session: 0, seq: 2 }]));
    let fold = run(records);
    assert_eq!((share(&fold, 0), share(&fold, 1)), (0, ALL));
    assert_eq!(fold.bucket(BUCKET).unwrap().lease(1).unwrap().granted.tokens, 0, "its tokens are lost");
}

#[test]
fn an_ended_session_never_comes_back() {
    let mut records = two();
    records.push(said(1, 11, 2, vec![Op::Evict { session: 0, seq: 1 }]));
    records.push(said(0, 10, 2, vec![claim(0, 1000, 600)]));
    let fold = run(records.clone());
    assert_eq!(share(&fold, 0), 0);
    records.push(records[0].clone());
    let fold = run(records);
    assert!(fold.sessions.contains_key(&4), "a late copy of its Hello is a new session");
    assert_eq!(share(&fold, 4), 0, "with nothing in its hands");
}

#[test]
fn a_copy_of_a_hello_is_ignored_while_the_session_lives() {
    let mut records = two();
    records.push(records[0].clone());
    assert_eq!(run(records).sessions.len(), 2);
}

#[test]
fn evicting_oneself_ends_the_record_there() {
    let mut records = two();
    records.push(said(0, 10, 2, vec![Op::Evict { session: 0, seq: 2 }, claim(0, 0, 600)]));
    let fold = run(records);
    assert_eq!((fold.sessions.len(), share(&fold, 0), share(&fold, 1)), (1, 0, ALL));
}

#[test]
fn after_a_clean_goodbye_the_bucket_is_forgotten_full_and_after_a_crash_it_is_not() {
    let first = two().remove(0);
    let bye = said(0, 10, 2, vec![claim(ALL, 1000, 0), Op::Bye]);
    assert!(run([first.clone(), bye]).bucket(BUCKET).is_none());
    let evict = said(1, 11, 2, vec![Op::Evict { session: 0, seq: 1 }]);
    let after_crash = run([first, hello(11, vec![]), evict]);
    assert_eq!(after_crash.bucket(BUCKET).unwrap().pool, Tokens::ZERO, "no free burst after a crash");
}

#[test]
fn only_a_higher_version_redefines_a_limit() {
    let mut records = two();
    records.push(said(1, 11, 2, vec![define(1, 5, 5)]));
    assert_eq!(run(records.clone()).limit(LIMIT).unwrap().rate.0, ALL);
    records.push(said(1, 11, 3, vec![define(2, 2 * ALL, 2000)]));
    let fold = run(records);
    assert_eq!(share(&fold, 0) + share(&fold, 1), 2 * ALL, "what came on top is given out");
}

#[test]
fn a_lowered_limit_grants_nothing_until_its_holders_have_come_down() {
    let mut fold = run(two());
    fold.apply(2, &said(1, 11, 2, vec![define(2, ALL / 2, 500)]));
    assert_eq!((share(&fold, 0), share(&fold, 1)), (ALL, 0));
    fold.apply(3, &said(0, 10, 2, vec![claim(ALL / 2, 0, 600)]));
    assert_eq!(share(&fold, 0), ALL / 2);
    fold.apply(4, &said(0, 10, 3, vec![claim(ALL * 3 / 4, 0, 600)]));
    assert_eq!((share(&fold, 0), share(&fold, 1)), (ALL / 4, ALL / 4));
    check(&fold);
}

fn stranger(ops: Vec<Op>) -> Record {
    Record { sender: Sender::Stranger, nonce: 5, seq: 0, tag: 0, digest: None, ops }
}

fn reset(from: u64) -> Op {
    Op::Reset { from, before: 0, any: false, counts: vec![1] }
}

#[test]
fn a_reset_empties_the_partition_for_whoever_knows_it_and_for_whoever_does_not() {
    let mut fold = run(two());
    fold.apply(2, &stranger(vec![]));
    let applied = fold.apply(3, &stranger(vec![reset(2)]));
    assert_eq!((fold.sessions.len(), fold.buckets.len(), fold.limits.len()), (0, 0, 0));
    assert_eq!((applied.session, applied.touched), (Err(Ignored::Stranger), BTreeSet::from([BUCKET])));
    assert_eq!(fold, Fold::reset_at(3, 2, Layout::told(&[1], false, 0)), "what was before makes no difference");
}

#[test]
fn a_reset_changes_nothing_if_anybody_spoke_after_its_witness_began_accepted_or_not() {
    for word in [said(0, 10, 2, vec![]), said(77, 10, 2, vec![]), hello(11, vec![])] {
        let mut fold = run(two());
        fold.apply(2, &word);
        let before = fold.clone();
        fold.apply(3, &stranger(vec![reset(2)]));
        assert_eq!((&fold.sessions, &fold.buckets), (&before.sessions, &before.buckets));
        assert!(!fold.reset);
    }
    let mut fold = run(two());
    fold.apply(2, &stranger(vec![reset(3)]));
    assert_eq!(fold.sessions.len(), 2, "a witness of the future is none");
    fold.apply(3, &said(0, 10, 2, vec![reset(3)]));
    assert_eq!(fold.sessions.len(), 2, "who has a session is no stranger");
}

#[test]
fn a_reset_that_names_no_counts_or_impossible_ones_does_nothing() {
    for (before, counts) in [(0, vec![]), (2, vec![2]), (0, vec![2, 2])] {
        let mut fold = run(two());
        fold.apply(2, &stranger(vec![Op::Reset { from: 2, before, any: false, counts }]));
        assert_eq!((fold.sessions.len(), fold.was_reset()), (2, false));
    }
}

#[test]
fn what_had_left_a_partition_is_not_given_out_there_after_a_reset_whatever_count_is_said() {
    let mut fold = closing();
    fold.apply(2, &stranger(vec![Op::Reset { from: 2, before: 0, any: false, counts: vec![1, 2] }]));
    // One that slept says an old count.
    let old = Op::Layout { previous: 0, partitions: 1, any: false };
    let stays = (0..).map(BucketId).find(|id| partition_of(*id, 2) == 0).unwrap();
    let claims = [stays, moving()].map(|id| on(id, claim(0, 0, 600)));
    fold.apply(3, &hello(12, [vec![old, define(1, ALL, 1000)], claims.to_vec()].concat()));
    assert!(fold.bucket(moving()).is_none() && fold.bucket(stays).is_some());
}

#[test]
fn where_nobody_can_tell_where_buckets_came_from_they_wait_for_all_that_are_older() {
    // In partition 2 of three, of which the directory only knows that there are three.
    let id = (0..).map(BucketId).find(|id| partition_of(*id, 2) == 1 && partition_of(*id, 3) == 2).unwrap();
    let pool = |pool| Op::Carry(vec![Carried { bucket: id, limit: LIMIT, pool: Tokens(pool) }]);
    let open = |from| Op::Open { from, reset: false };
    let layout = Op::Layout { previous: 2, partitions: 3, any: true };
    let mut fold = run([hello(10, vec![layout, define(1, 1, 1000), on(id, claim(0, 0, 600)), pool(300), open(1)])]);
    assert!(fold.bucket(id).unwrap().leases.is_empty() && fold.was_reset());
    // In a minute it mints nothing: that is all that is sure to be there. Of two pools the smaller counts.
    assert_eq!(fold.bucket(id).unwrap().pool, Tokens::ZERO);
    fold.apply(1, &said(0, 10, 2, vec![on(id, claim(0, 0, 600))]));
    assert!(fold.bucket(id).unwrap().leases.is_empty(), "partition 0 may have it, too");
    fold.apply(2, &said(0, 10, 3, vec![open(0), on(id, claim(0, 0, 600))]));
    assert_eq!(fold.bucket(id).unwrap().leases.len(), 1);
}

#[test]
fn what_left_with_an_earlier_growth_does_not_leave_again_unless_nobody_can_tell() {
    let id = (0..).map(BucketId).find(|id| partition_of(*id, 2) == 1 && partition_of(*id, 3) == 2).unwrap();
    let mut fold = Fold { layout: Layout::told(&[1, 2, 3], false, 0), ..Fold::default() };
    fold.buckets.insert(id, Shared::unheld(LIMIT, Tokens(5)));
    assert_eq!(fold.moving_to(1, &Layout::told(&[1, 2, 3], false, 1)).len(), 1);
    assert_eq!(fold.moving_to(2, &Layout::told(&[1, 2, 3], false, 2)), [], "it comes from partition 1");
    assert_eq!(fold.moving_to(2, &Layout::told(&[3], true, 2)).len(), 1);
}

#[test]
fn of_two_pools_of_a_bucket_on_its_way_the_smaller_counts_whichever_comes_first() {
    let arrives = |pools: [u64; 2]| {
        let layout = Op::Layout { previous: 1, partitions: 2, any: false };
        let fold = run([hello(10, vec![layout, define(1, ALL, 1000), carry(pools[0]), carry(pools[1])])]);
        fold.bucket(moving()).unwrap().pool.0
    };
    assert_eq!((arrives([300, 200]), arrives([200, 300])), (200, 200));
}

#[test]
fn a_late_copy_of_a_reset_does_no_harm_to_who_came_after_it() {
    let mut fold = run(two());
    let reset = stranger(vec![reset(2)]);
    fold.apply(2, &reset);
    fold.apply(3, &hello(12, vec![define(1, ALL, 1000), claim(0, 0, 600)]));
    let before = fold.clone();
    fold.apply(4, &reset);
    assert_eq!((share(&fold, 3), &fold.buckets), (ALL, &before.buckets));
}

#[test]
fn after_a_reset_a_bucket_holds_what_its_limit_mints_while_nobody_spent_and_no_more() {
    let tokens = |rate: u64| {
        let mut fold = run(two());
        fold.apply(2, &stranger(vec![reset(2)]));
        fold.apply(3, &hello(12, vec![define(1, rate, 1000), claim(0, 0, 600)]));
        fold.bucket(BUCKET).unwrap().lease(3).unwrap().granted.tokens
    };
    // 1000 micro-permits in a minute are 16,666 nano-permits per second.
    assert_eq!((tokens(16_667), tokens(8_333), tokens(1)), (1000, 499, 0));
}

/// A bucket that goes from partition 0 to partition 1 when the log gets a second one.
fn moving() -> BucketId {
    (0..).map(BucketId).find(|id| partition_of(*id, 2) == 1).unwrap()
}

fn on(bucket: BucketId, op: Op) -> Op {
    let Op::Claim(claim) = op else { unreachable!() };
    Op::Claim(Claim { bucket, ..claim })
}

fn carry(pool: u64) -> Op {
    Op::Carry(vec![Carried { bucket: moving(), limit: LIMIT, pool: Tokens(pool) }])
}

/// Two hold, or wait for, a bucket of partition 0 when that is told of a second partition.
pub(crate) fn closing() -> Fold {
    let (first, second) =
        (Op::Layout { previous: 0, partitions: 1, any: false }, Op::Layout { previous: 1, partitions: 2, any: false });
    run([
        hello(10, vec![first, define(1, ALL, 1000), on(moving(), claim(0, 0, 600))]),
        hello(11, vec![on(moving(), claim(0, 0, 600)), second]),
    ])
}

#[test]
fn a_closed_bucket_gives_nothing_out_and_stays_as_it_is_when_its_limit_changes() {
    let mut fold = closing();
    // All of the burst and half of the rate; 120 tokens come back.
    fold.apply(2, &said(0, 10, 2, vec![on(moving(), claim(ALL / 2, 120, 600))]));
    let shares = |fold: &Fold| fold.bucket(moving()).unwrap().leases.iter().map(|lease| lease.share().rate.0).collect();
    assert_eq!((fold.bucket(moving()).unwrap().pool, shares(&fold)), (Tokens(120), vec![ALL / 2, 0]));
    fold.apply(3, &said(1, 11, 2, vec![define(2, 2 * ALL, 100)]));
    assert_eq!((fold.bucket(moving()).unwrap().pool, shares(&fold)), (Tokens(120), vec![ALL / 2, 0]));
    assert!(!fold.is_drained(2), "somebody holds it");
    fold.apply(4, &said(0, 10, 3, vec![on(moving(), claim(ALL, 120, 0))]));
    assert!(!fold.is_drained(2), "somebody waits for it still");
    fold.apply(5, &said(1, 11, 3, vec![on(moving(), claim(0, 0, 0))]));
    assert!(fold.is_drained(2) && !fold.is_drained(3));
}

#[test]
fn a_late_copy_of_what_came_along_changes_nothing_once_it_is_opened() {
    let layout = Op::Layout { previous: 1, partitions: 2, any: false };
    let mut fold = run([hello(10, vec![layout, define(1, ALL, 1000), carry(300), Op::Open { from: 0, reset: false }])]);
    fold.apply(1, &said(0, 10, 2, vec![on(moving(), claim(0, 0, 600)), carry(300)]));
    assert_eq!(fold.bucket(moving()).unwrap().lease(0).unwrap().granted.tokens, 300);
    // What comes back makes it full: it is forgotten.
    fold.apply(2, &said(0, 10, 3, vec![on(moving(), claim(ALL, 1000, 0)), carry(300)]));
    assert!(fold.bucket(moving()).is_none());
}

#[test]
fn what_comes_along_after_a_reset_may_have_come_before_and_been_spent() {
    let pool = |carried| {
        let mut fold = Fold::reset_at(2, 0, Layout::told(&[1, 2], false, 1));
        // In a minute it mints 499 micro-permits.
        fold.apply(3, &hello(10, vec![define(1, 8_333, 1000), carry(carried)]));
        fold.bucket(moving()).unwrap().pool.0
    };
    assert_eq!((pool(900), pool(100)), (499, 100));
}

#[test]
fn what_a_reset_forgot_arrives_in_a_new_partition_as_what_its_limit_mints_while_nobody_spent() {
    let layout = |any| Op::Layout { previous: 1, partitions: 2, any };
    let open = |reset| Op::Open { from: 0, reset };
    let tokens = |ops: Vec<Op>| {
        // In a minute it mints 499 micro-permits.
        let mut fold = run([hello(10, [vec![define(1, 8_333, 1000)], ops].concat())]);
        fold.apply(1, &said(0, 10, 2, vec![on(moving(), claim(0, 0, 600))]));
        fold.bucket(moving()).unwrap().lease(0).unwrap().granted.tokens
    };
    assert_eq!(tokens(vec![layout(false), open(false)]), 1000);
    assert_eq!(tokens(vec![layout(false), open(true)]), 499);
    assert_eq!(tokens(vec![layout(true), open(false)]), 499, "the directory forgot where it was");
    // The first who opens has seen it closed: what another one sees after a reset changes nothing, and the other way round.
    assert_eq!(tokens(vec![layout(false), open(false), open(true)]), 1000);
    assert_eq!(tokens(vec![layout(false), open(true), open(false)]), 499);
    // How a partition came to be is known after its first count, and an opening for what is not older says nothing.
    let twice = |any| Op::Layout { previous: 1, partitions: 2, any };
    assert_eq!(tokens(vec![layout(false), twice(true), open(false), Op::Open { from: 1, reset: true }]), 1000);
    // What is known came along: it is what it is.
    assert_eq!(tokens(vec![layout(false), carry(700), open(true)]), 700);
}

/// Hostile histories: few names, so that sessions, sequence numbers and buckets really meet.
pub(crate) fn any_history() -> impl Strategy<Value = Vec<Record>> {
    let amount = prop_oneof![0u64..3_000, any::<u64>()];
    let op = prop_oneof![
        5 => (0u128..3, amount.clone(), amount.clone(), amount.clone(), prop_oneof![Just(0), 1..4_000u64], 0u64..1_500, any::<bool>())
            .prop_map(|(bucket, rate, burst, tokens, want, min, requeue)| {
                let released = Amounts { rate: rate.into(), burst: burst.into(), tokens: tokens.into() };
                let (want, min) = (Rate(want), Tokens(min));
                Op::Claim(Claim { bucket: BucketId(bucket), limit: LIMIT, name: String::new(), released, want, min, requeue })
            }),
        1 => (0u64..40, 0u64..6).prop_map(|(session, seq)| Op::Evict { session, seq }),
        1 => Just(Op::Bye),
        1 => (0u32..4, 0u32..5).prop_map(|(previous, partitions)| Op::Layout { previous, partitions, any: partitions % 2 == 0 }),
        1 => (0u128..3, 0u64..2_000_000_000).prop_map(|(bucket, pool)| {
            Op::Carry(vec![Carried { bucket: BucketId(bucket), limit: LIMIT, pool: Tokens(pool) }])
        }),
        1 => (0u32..4, any::<bool>()).prop_map(|(from, reset)| Op::Open { from, reset }),
    ];
    let spoken = (0u64..40, 0u64..4, 1u64..12, any::<bool>(), prop::collection::vec(op, 0..4)).prop_map(
        |(session, nonce, seq, opens, ops)| if opens { hello(nonce, ops) } else { said(session, nonce, seq, ops) },
    );
    let strange = (0u64..60, 0u32..3, any::<bool>(), prop::collection::vec(1u32..6, 0..3))
        .prop_map(|(from, before, any, counts)| stranger(vec![Op::Reset { from, before, any, counts }]));
    let record = prop_oneof![20 => spoken, 1 => strange];
    prop::collection::vec(record, 0..60).prop_map(|mut records| {
        records.insert(0, hello(99, vec![define(1, 1_000_000_000_000, 1_000_000_000)]));
        records
    })
}

proptest! {
    #[test]
    fn shares_never_add_up_to_more_than_the_limit_whatever_is_said(records in any_history()) {
        run(records);
    }

    #[test]
    fn an_ignored_record_and_a_second_copy_change_nothing(records in any_history()) {
        let mut fold = Fold::default();
        for record in records {
            let before = fold.clone();
            let applied = fold.apply(fold.next(), &record);
            let after = fold.clone();
            let same = |a: &Fold, b: &Fold| (&a.sessions, &a.limits, &a.buckets) == (&b.sessions, &b.limits, &b.buckets);
            if record.sender == Sender::Stranger { continue; }
            if applied.session.is_err() { prop_assert!(same(&fold, &before)); }
            let again = fold.apply(fold.next(), &record);
            if matches!(record.sender, Sender::Session(_)) {
                prop_assert!(again.session.is_err());
                prop_assert!(same(&fold, &after));
            }
        }
    }

    #[test]
    fn tokens_are_moved_and_never_made(records in any_history()) {
        // One op at a time: pool + what was handed out in this step <= pool before + what its sender gave back.
        let mut fold = Fold::default();
        let single = records.into_iter().flat_map(|record| {
            let ops = if record.ops.is_empty() { vec![vec![]] } else { record.ops.iter().map(|op| vec![op.clone()]).collect() };
            ops.into_iter().map(move |ops| Record { ops, ..record.clone() })
        });
        for (at, mut record) in single.enumerate() {
            if record.seq != 1 { record.seq = at as u64 + 1; }
            let before = fold.clone();
            let session = fold.apply(fold.next(), &record).session;
            for (id, shared) in &fold.buckets {
                let Some(old) = before.buckets.get(id) else { continue };
                let granted = |shared: &Shared, born: u64| -> u128 {
                    shared.leases.iter().filter(|lease| lease.born == born).map(|lease| lease.granted.tokens).sum()
                };
                let out: u128 = shared.leases.iter().map(|lease| lease.granted.tokens - granted(old, lease.born)).sum();
                let back = match (&record.ops[..], session.ok().and_then(|me| old.lease(me))) {
                    ([Op::Claim(claim)], Some(lease)) if claim.bucket == *id => {
                        let burst = claim.released.burst.saturating_sub(lease.released.burst).min(lease.share().burst.0.into());
                        claim.released.tokens.saturating_sub(lease.released.tokens).min(burst)
                    }
                    _ => 0,
                };
                prop_assert!(u128::from(shared.pool.0) + out <= u128::from(old.pool.0) + back);
            }
        }
    }

    #[test]
    fn no_record_makes_the_fold_panic(records in prop::collection::vec(any_record(), 0..40), offsets in prop::collection::vec(any::<u64>(), 40)) {
        let mut fold = Fold::default();
        for (record, offset) in records.iter().zip(offsets) {
            fold.apply(offset, record);
        }
    }

    #[test]
    fn a_log_read_in_two_parts_gives_the_same_state(records in any_history(), at: prop::sample::Index) {
        let whole = run(records.clone());
        let (head, tail) = records.split_at(at.index(records.len()));
        let mut parts = run(head.to_vec());
        for record in tail { parts.apply(parts.next(), record); }
        prop_assert_eq!(whole, parts);
    }
}
