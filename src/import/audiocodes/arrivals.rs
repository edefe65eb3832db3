//! Classification: which IP group a call arrives on when the address of a proxy set does not say.

use super::{IniRow, Reader, Table, is_host};
use crate::import::original::Arrival;

impl Reader<'_, '_> {
    pub(super) fn arrivals(&mut self) {
        for (table, row) in self.table("Classification") {
            match self.arrival(table, row) {
                Ok(arrival) => self.original.arrivals.push(arrival),
                Err(why) => {
                    let name = table.value(row, "ClassificationName");
                    let message =
                        format!("classification {} {name:?} is left out: {why}", row.index);
                    self.say(row.line, message);
                }
            }
        }
    }

    fn arrival(&mut self, table: &Table, row: &IniRow) -> Result<Arrival, String> {
        let value = |column: &str| table.value(row, column);
        if value("ActionType") == "0" {
            return Err("it refuses calls, which is what happens to calls nothing fits".into());
        }
        for column in ["MessageConditionName", "SrcPort"] {
            if !matches!(value(column), "" | "-1" | "0") {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        for column in ["SrcUsernamePrefix", "DestUsernamePrefix"] {
            if !matches!(value(column), "" | "*") {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        if !matches!(value("IPGroupSelection"), "" | "0" | "-1") {
            return Err("it chooses the group by a tag".into());
        }
        let source = network(value("SrcAddress"))?;
        let host = |column: &str| match value(column) {
            "" | "*" => Ok(None),
            text if is_host(text.trim_start_matches("*.")) => Ok(Some(text.to_owned())),
            text => Err(format!("its {column} {text:?} cannot be said here")),
        };
        let (from_host, request_host) = (host("SrcHost")?, host("DestHost")?);
        let name = value("SrcIPGroupName");
        let group = self.group(name, row.line).ok_or("its group is not known")?;
        for (column, any) in [("SrcSIPInterfaceName", "Any"), ("SrcTransportType", "-1")] {
            if !matches!(value(column), "") && !value(column).eq_ignore_ascii_case(any) {
                let message = format!(
                    "its {column} {:?} is left out: write listener into the [[classification]]",
                    value(column)
                );
                self.say(row.line, message);
            }
        }
        Ok(Arrival {
            line: row.line,
            name: value("ClassificationName").to_owned(),
            source,
            from_host,
            request_host,
            group,
        })
    }
}

/// An address, or a network whose last parts are `*`.
fn network(text: &str) -> Result<String, String> {
    let wrong = || match text {
        "" | "*" => String::from("it asks for no address, and whoever is believed must have one"),
        text => format!("its SrcAddress {text:?} is no address"),
    };
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let parts: Vec<&str> = text.split('.').collect();
    let kept: Vec<&str> = parts
        .iter()
        .copied()
        .take_while(|part| *part != "*")
        .collect();
    let is_rest_any = parts.iter().skip(kept.len()).all(|part| *part == "*");
    if parts.len() != 4 || kept.is_empty() || !is_rest_any {
        return Err(wrong());
    }
    let bytes: Option<Vec<u8>> = kept.iter().map(|part| part.parse().ok()).collect();
    let mut bytes = bytes.ok_or_else(wrong)?;
    bytes.resize(4, 0);
    let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
    Ok(format!("{}/{}", bytes.join("."), kept.len() * 8))
}
