//! Rows of text with a header, between commas, semicolons or tabs: what databases print.

/// The columns and the rows.
pub(super) struct Rows {
    columns: Vec<String>,
    pub(super) rows: Vec<(u32, Vec<String>)>,
}

impl Rows {
    /// Reads them; a line that is no row is left out by whoever looks for its cells.
    pub(super) fn read(text: &str) -> Self {
        let head = text.lines().next().unwrap_or_default();
        let count = |delimiter: u8| head.bytes().filter(|byte| *byte == delimiter).count();
        let delimiter = [b',', b';', b'\t']
            .into_iter()
            .max_by_key(|delimiter| count(*delimiter));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut columns = Vec::new();
        let mut rows = Vec::new();
        for record in reader.records().flatten() {
            let line = record.position().map_or(1, csv::Position::line) as u32;
            let cells = record.iter().map(|cell| match cell.trim() {
                "NULL" | "\\N" => String::new(),
                cell => cell.to_owned(),
            });
            let cells: Vec<String> = cells.collect();
            if columns.is_empty() {
                columns = cells.iter().map(|name| name.to_ascii_lowercase()).collect();
            } else if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push((line, cells));
            }
        }
        Self { columns, rows }
    }

    /// The column that has one of these names, the first of them that there is.
    pub(super) fn column(&self, names: &[&str]) -> Option<usize> {
        let at = |name: &&str| self.columns.iter().position(|column| column == name);
        names.iter().find_map(at)
    }
}

/// A cell; empty where there is none.
pub(super) fn cell(cells: &[String], column: Option<usize>) -> &str {
    let cell = column.and_then(|column| cells.get(column));
    cell.map_or("", |cell| cell)
}
