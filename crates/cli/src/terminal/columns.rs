//! Aligned columns of text.

/// The side on which the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Formats rows in columns, two spaces apart. A column in which every cell is empty is left out. A row may be shorter than the
/// others; its last cell then belongs to no column.
pub(crate) fn columns(align: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let width_of = |column: usize| {
        // The last cell of a short row takes the space it needs.
        let cells = rows.iter().filter(|row| row.len() == align.len() || column + 1 < row.len());
        cells.filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..align.len()).map(width_of).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let width = widths.get(index).copied().unwrap_or(0);
            if width == 0 && cell.is_empty() {
                continue;
            }
            if !line.is_empty() {
                line.push_str("  ");
            }
            match align.get(index) {
                Some(Align::Right) if row.len() == align.len() => line.push_str(&format!("{cell:>width$}")),
                _ => line.push_str(&format!("{cell:width$}")),
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows = [row(&["feeds", "full", "", "12 in"]), row(&["a", "skipped", "nothing to do"])];
        let align = [Align::Left, Align::Left, Align::Left, Align::Right];
        assert_eq!(columns(&align, &rows), ["feeds  full     12 in", "a      skipped  nothing to do"]);
    }
}
