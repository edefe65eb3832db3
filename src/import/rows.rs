//! Rows of text with a header, between commas, semicolons, tabs or the lines of a drawn table:
//! what databases print.

/// The columns and the rows.
pub(super) struct Rows {
    columns: Vec<String>,
    pub(super) rows: Vec<(u32, Vec<String>)>,
}

impl Rows {
    /// Reads them; a line that is no row is left out by whoever looks for its cells.
    pub(super) fn read(text: &str) -> Self {
        // Lines that are drawn, and how many rows there are, hold nothing; the others keep
        // their places.
        let lines = text
            .lines()
            .map(|line| if is_drawn(line) { "" } else { line });
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut filled = text.lines().filter(|line| !line.trim().is_empty());
        let head = filled.next().unwrap_or_default();
        let count = |delimiter: u8| head.bytes().filter(|byte| *byte == delimiter).count();
        let delimiter = [b'|', b',', b';', b'\t']
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
            let line = line_of(&text, &record);
            let cells = record.iter().map(|cell| match cell.trim() {
                "NULL" | "\\N" => String::new(),
                cell => cell.to_owned(),
            });
            let cells: Vec<String> = cells.collect();
            if columns.is_empty() {
                columns = cells.iter().map(|name| letters(name)).collect();
            } else if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push((line, cells));
            }
        }
        Self { columns, rows }
    }

    /// The column that has one of these names, the first of them that there is.
    pub(super) fn column(&self, names: &[&str]) -> Option<usize> {
        let at = |name: &&str| {
            let name = letters(name);
            self.columns.iter().position(|column| *column == name)
        };
        names.iter().find_map(at)
    }
}

/// A name without what people put between its words.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

/// `+----+----+`, `----+----` or `(12 rows)`.
fn is_drawn(line: &str) -> bool {
    let line = line.trim();
    let is_line = line.contains("--") && line.bytes().all(|byte| b"+-|".contains(&byte));
    let count = line
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let count = count.and_then(|count| count.split_once(" row"));
    is_line || count.is_some_and(|(count, _)| count.bytes().all(|b| b.is_ascii_digit()))
}

/// The line a record of a text begins in: its position is that of the empty lines above it.
pub(super) fn line_of(text: &str, record: &csv::StringRecord) -> u32 {
    let Some(position) = record.position() else {
        return 1;
    };
    let behind = text
        .as_bytes()
        .get(position.byte() as usize..)
        .unwrap_or_default();
    let above = behind
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let above = above.filter(|byte| **byte == b'\n').count();
    (position.line() as usize + above) as u32
}

/// A cell; empty where there is none.
pub(super) fn cell(cells: &[String], column: Option<usize>) -> &str {
    let cell = column.and_then(|column| cells.get(column));
    cell.map_or("", |cell| cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_databases_print() {
        for text in [
            "gwid\tpri_prefix\na\t00\n",
            "+------+------------+\n| gwid | pri_prefix |\n+------+------------+\n| a    | 00         |\n+------+------------+\n",
            " gwid | pri prefix \n------+------------\n a    | 00\n(1 row)\n",
            "\"gwid\";\"PRI_PREFIX\"\n\"a\";\"00\"\n",
        ] {
            let read = Rows::read(text);
            let [gateway, prefix] =
                [&["gwid"][..], &["pri_prefix"]].map(|names| read.column(names));
            let cells: Vec<(&str, &str)> = read
                .rows
                .iter()
                .map(|(_, cells)| (cell(cells, gateway), cell(cells, prefix)))
                .collect();
            assert_eq!(cells, [("a", "00")], "{text}");
            let line = read.rows.first().map(|(line, _)| *line);
            let wanted = text
                .lines()
                .position(|line| line.contains("00"))
                .map(|at| at as u32 + 1);
            assert_eq!(line, wanted, "{text}");
        }
    }
}
