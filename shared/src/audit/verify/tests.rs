use serde_json::json;

use super::*;
use crate::{audit::Act, catalog::Actor, keys::Secret};

fn key() -> AuditKey {
    AuditKey::new(&Secret::new([7; 32]))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn act(number: usize) -> Act {
    Act::new("naru.customer.changed", &format!("catalog/customer/c{number}"), json!({ "version": number }))
}

fn links(count: usize) -> Vec<Link> {
    let acts = (0..count).map(act).collect();
    key().links(Chain::Catalog, None, at(1), &Actor::operator("kim"), acts).unwrap()
}

fn anchor(kind: AnchorKind, of: &[Link], row: usize, second: i64) -> Anchor {
    let head = of.get(row.wrapping_sub(1)).map_or(Head { sequence: 0, hash: String::new() }, |link| Head {
        sequence: link.sequence,
        hash: link.hash.clone(),
    });
    Anchor::new(&key(), kind, Chain::Catalog, head, at(second))
}

fn verified(links: &[Link], anchors: &[Anchor]) -> Result<Verified, Broken> {
    let key = key();
    let mut verifier = Verifier::new(&key, Chain::Catalog, anchors);
    for link in links {
        verifier.take(link)?;
    }
    verifier.end()
}

fn broken(links: &[Link], anchors: &[Anchor]) -> (i64, &'static str) {
    let broken = verified(links, anchors).unwrap_err();
    (broken.row, broken.how)
}

#[test]
fn a_chain_that_nobody_touched_is_whole() {
    let links = links(5);
    let done = verified(&links, &[anchor(AnchorKind::Head, &links, 3, 2)]).unwrap();
    assert_eq!((done.records, done.anchored, done.head.as_ref()), (5, 3, Some(&links[4].hash)));
    assert_eq!(verified(&[], &[]).unwrap().records, 0);
}

#[test]
fn every_change_of_a_row_is_seen_at_that_row() {
    let whole = links(5);
    for row in 0..5 {
        let number = whole[row].sequence;
        for change in [
            |link: &mut Link| link.at = at(2),
            |link: &mut Link| link.record = link.record.replace("kim", "lee"),
            |link: &mut Link| link.hash = "0".repeat(64),
            |link: &mut Link| link.hash.clear(),
            |link: &mut Link| link.record.clear(),
        ] {
            let mut links = whole.clone();
            change(&mut links[row]);
            assert_eq!(broken(&links, &[]), (number, "edited"));
        }
    }
}

#[test]
fn a_row_that_is_gone_moved_or_put_in_is_named() {
    let whole = links(5);
    for row in 0..4 {
        let mut links = whole.clone();
        links.remove(row);
        assert_eq!(broken(&links, &[]), (whole[row].sequence, "missing"));
        // As if there had never been one.
        for link in &mut links[row..] {
            link.sequence -= 1;
        }
        assert_eq!(broken(&links, &[]), (whole[row].sequence, "moved"));
        let mut links = whole.clone();
        links.swap(row, row + 1);
        (links[row].sequence, links[row + 1].sequence) = (links[row + 1].sequence, links[row].sequence);
        assert_eq!(broken(&links, &[]), (whole[row].sequence, "moved"));
    }
    let mut links = whole.clone();
    let other = AuditKey::new(&Secret::new([8; 32]));
    let head = Head { sequence: 5, hash: whole[4].hash.clone() };
    let forged = other.links(Chain::Catalog, Some(head), at(2), &Actor::operator("kim"), vec![act(9)]);
    links.extend(forged.unwrap());
    assert_eq!(broken(&links, &[]), (6, "edited"));
    let mut links = whole;
    links.insert(0, Link { sequence: -3, ..links[0].clone() });
    assert_eq!(broken(&links, &[]), (-3, "edited"));
}

#[test]
fn a_link_of_one_chain_is_none_of_another() {
    let links = key().links(Chain::Ledger, None, at(1), &Actor::Process, vec![act(1)]).unwrap();
    assert_eq!(broken(&links, &[]), (1, "edited"));
}

#[test]
fn an_end_that_was_cut_off_is_seen_by_an_anchor_alone() {
    let whole = links(5);
    let anchors = [anchor(AnchorKind::Head, &whole, 2, 2), anchor(AnchorKind::Head, &whole, 5, 3)];
    verified(&whole[..3], &[]).unwrap();
    assert_eq!(broken(&whole[..3], &anchors), (4, "cut-off"));
    assert_eq!(broken(&[], &anchors), (1, "cut-off"));
    // The gateway itself goes on where it was cut off.
    let head = Head { sequence: 3, hash: whole[2].hash.clone() };
    let more = key().links(Chain::Catalog, Some(head), at(9), &Actor::operator("kim"), vec![act(7), act(8)]);
    let links = [whole[..3].to_vec(), more.unwrap()].concat();
    verified(&links, &[]).unwrap();
    assert_eq!(broken(&links, &anchors), (5, "rewritten"));
}

#[test]
fn a_copy_that_was_put_in_place_voids_what_was_anchored_before_and_beyond() {
    let whole = links(5);
    let (beyond, copy) = (anchor(AnchorKind::Head, &whole, 5, 2), anchor(AnchorKind::Restored, &whole, 3, 3));
    let done = verified(&whole[..3], &[copy.clone(), beyond.clone()]).unwrap();
    assert_eq!((done.restored, done.anchored), (vec![at(3)], 3));
    // But not what came after it, and not what the copy had.
    let later = anchor(AnchorKind::Head, &whole, 4, 4);
    assert_eq!(broken(&whole[..3], &[copy.clone(), beyond.clone(), later]), (4, "cut-off"));
    assert_eq!(broken(&whole[..2], &[copy, beyond]), (3, "cut-off"));
    let nothing = anchor(AnchorKind::Restored, &[], 0, 3);
    verified(&[], &[anchor(AnchorKind::Head, &whole, 5, 2), nothing]).unwrap();
}

#[test]
fn an_anchor_is_read_only_if_it_is_signed() {
    let line = anchor(AnchorKind::Head, &links(3), 3, 2).line();
    assert_eq!(Anchor::read(&key(), &line).unwrap().sequence, 3);
    for (from, to) in [("\"sequence\":3", "\"sequence\":2"), ("catalog", "ledger"), ("head", "restored")] {
        assert!(Anchor::read(&key(), &line.replacen(from, to, 1)).is_err(), "{from}");
    }
    assert!(Anchor::read(&AuditKey::new(&Secret::new([8; 32])), &line).is_err());
    assert!(Anchor::read(&key(), "").is_err());
}
