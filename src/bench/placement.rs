//! Which CPUs the servers and the load generator have. All servers have the same ones, in all rows.

use std::fmt;
use std::str::FromStr;

use crate::observe::CpuList;

/// How CPUs are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The load generator has a CPU of its own, the servers have the others.
    Split,
    /// All on the same one CPU.
    One,
    /// All on all CPUs.
    All,
}

impl FromStr for Sharing {
    type Err = String;

    fn from_str(text: &str) -> Result<Sharing, String> {
        match text {
            "split" => Ok(Sharing::Split),
            "one" => Ok(Sharing::One),
            "all" => Ok(Sharing::All),
            _ => Err("it is split, one or all".into()),
        }
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sharing::Split => "split",
            Sharing::One => "one",
            Sharing::All => "all",
        })
    }
}

/// CPUs for either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How they are shared out.
    pub sharing: Sharing,
    /// CPUs of all servers.
    pub servers: CpuList,
    /// CPUs of the load generator.
    pub driver: CpuList,
}

impl Placement {
    /// Shares out the CPUs that this process is `allowed`. With `servers` given, the load generator
    /// has the others, or the same if there are no others.
    pub fn new(
        sharing: Option<Sharing>,
        servers: Option<CpuList>,
        allowed: &CpuList,
    ) -> Result<Placement, String> {
        let cpus: Vec<usize> = allowed.iter().collect();
        let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
        let only = |cpu| CpuList::new([cpu]).expect("it is one");
        if let Some(servers) = servers {
            if let Some(cpu) = servers.iter().find(|cpu| !allowed.contains(*cpu)) {
                return Err(format!("CPU {cpu} is not among those of this process: {allowed}"));
            }
            let others = CpuList::new(cpus.into_iter().filter(|cpu| !servers.contains(*cpu)));
            let sharing = if others.is_some() { Sharing::Split } else { Sharing::All };
            let driver = others.unwrap_or_else(|| servers.clone());
            return Ok(Placement { sharing, servers, driver });
        }
        let sharing = match sharing {
            Some(Sharing::Split) if cpus.len() < 2 => {
                return Err("there is only one CPU; use --cpus one".into());
            }
            Some(sharing) => sharing,
            None if cpus.len() < 2 => Sharing::One,
            None => Sharing::Split,
        };
        let (servers, driver) = match sharing {
            Sharing::Split => {
                let others = CpuList::new(cpus.into_iter().filter(|cpu| *cpu != last));
                (others.expect("there are two"), only(last))
            }
            Sharing::One => (only(first), only(first)),
            Sharing::All => (allowed.clone(), allowed.clone()),
        };
        Ok(Placement { sharing, servers, driver })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_shared_out_as_asked() {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        let placed = |sharing, servers: Option<&str>, allowed| {
            let placement = Placement::new(sharing, servers.map(list), &list(allowed))?;
            Ok::<_, String>((placement.servers.to_string(), placement.driver.to_string()))
        };
        let both = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(placed(None, None, "0-3"), both("0-2", "3"));
        assert_eq!(placed(None, None, "5"), both("5", "5"));
        assert_eq!(placed(Some(Sharing::One), None, "2-3"), both("2", "2"));
        assert_eq!(placed(Some(Sharing::All), None, "0-1"), both("0-1", "0-1"));
        assert_eq!(placed(None, Some("1"), "0-3"), both("1", "0,2-3"));
        assert_eq!(placed(None, Some("0-1"), "0-1"), both("0-1", "0-1"));
        assert!(placed(None, Some("7"), "0-3").is_err());
        assert!(placed(Some(Sharing::Split), None, "0").is_err());
    }
}
