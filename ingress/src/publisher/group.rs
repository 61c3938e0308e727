//! Which messages go into which pack.

use std::collections::HashMap;

use naru_shared::domain::{Account, Lane, PACK_MESSAGES, RouteName};

/// The most bytes of messages in a pack; one that is larger travels alone.
const PACK_BYTES: usize = 192 * 1024;

/// What the messages of one pack have in common.
pub type Destination<'a> = (&'a Account, &'a RouteName, Lane);

/// One pack to be: where it goes, and which messages it holds, by their place in the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Where it goes.
    pub destination: Destination<'a>,
    /// Its messages, in the order in which they came.
    pub members: Vec<usize>,
    bytes: usize,
}

/// Groups messages, given as destination and length in bytes, in the order in which they came.
pub fn group<'a>(messages: impl Iterator<Item = (Destination<'a>, usize)>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut open: HashMap<Destination<'a>, usize> = HashMap::new();
    for (index, (destination, length)) in messages.enumerate() {
        let current = open.get(&destination).and_then(|place| groups.get_mut(*place));
        match current {
            Some(group) if group.members.len() < PACK_MESSAGES && group.bytes + length <= PACK_BYTES => {
                group.members.push(index);
                group.bytes += length;
            }
            _ => {
                open.insert(destination, groups.len());
                groups.push(Group { destination, members: vec![index], bytes: length });
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::Environment;
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn account(name: &str) -> Account {
        Account { customer: name.parse().unwrap(), environment: Environment::Live }
    }

    #[test]
    fn messages_of_one_destination_share_a_pack_until_it_is_full() {
        let (a, b, route): (_, _, RouteName) = (account("a"), account("b"), "r".parse().unwrap());
        let to = |account, lane| (account, &route, lane);
        let input = [
            (to(&a, Lane::Express), 10),
            (to(&b, Lane::Express), 10),
            (to(&a, Lane::Bulk), 10),
            (to(&a, Lane::Express), PACK_BYTES),
            (to(&a, Lane::Express), 10),
            (to(&b, Lane::Express), PACK_BYTES - 10),
        ];
        let members: Vec<Vec<usize>> = group(input.into_iter()).into_iter().map(|g| g.members).collect();
        assert_eq!(members, [vec![0], vec![1, 5], vec![2], vec![3], vec![4]]);
    }

    proptest! {
        #[test]
        fn every_message_is_in_one_pack_and_no_pack_is_too_large(
            input in prop::collection::vec((0..3_usize, 1..100_000_usize), 0..300)
        ) {
            let accounts = [account("a"), account("b"), account("c")];
            let route: RouteName = "r".parse().unwrap();
            let groups = group(input.iter().map(|(who, len)| ((&accounts[*who], &route, Lane::Express), *len)));
            let mut seen: Vec<usize> = groups.iter().flat_map(|g| g.members.clone()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..input.len()).collect::<Vec<_>>());
            for group in groups {
                let bytes: usize = group.members.iter().map(|m| input[*m].1).sum();
                assert!(group.members.len() <= PACK_MESSAGES);
                assert!(bytes <= PACK_BYTES || group.members.len() == 1);
                assert!(group.members.iter().all(|m| accounts[input[*m].0] == *group.destination.0));
                assert!(group.members.is_sorted());
            }
        }
    }
}
