//! Reads what documents say out of their tables.

use crate::stage::beside_others;

/// The rows of the table whose head begins with these cells, cell by cell.
pub(super) fn table(document: &str, head: &[&str]) -> Vec<Vec<String>> {
    let mut rows = document
        .lines()
        .map(cells)
        .skip_while(|row| !row.iter().zip(head).all(|(a, b)| a == b) || row.len() < head.len());
    let width = rows.next().unwrap_or_else(|| panic!("there is no table {head:?}")).len();
    let body: Vec<_> = rows.skip(1).take_while(|row| row.len() == width).collect();
    assert!(!body.is_empty(), "the table {head:?} is empty");
    body
}

/// The words that a cell sets as code.
pub(super) fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
        return Vec::new();
    };
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn a_table_is_read_cell_by_cell() {
    let _beside = beside_others();
    let text =
        "x\n| a | b |\n|---|---|\n| `one`, `two` | 2 |\n| three | |\n\n| c | d |\n|---|---|\n| 5 | 6 |\n";
    assert_eq!(table(text, &["a", "b"]), [vec!["`one`, `two`", "2"], vec!["three", ""]]);
    assert_eq!(table(text, &["c"]), [vec!["5", "6"]]);
    assert_eq!(words("`one`, `two` of"), ["one", "two"]);
}
