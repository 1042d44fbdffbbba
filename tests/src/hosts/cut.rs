//! The network between a host and the coordinator, cut.
//!
//! Flows in: a host, a way to cut. Flows out: rules in the host's own packet filter, and nowhere else.

use anyhow::{Context, Result};

use super::Host;

/// How it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Packets between agent and coordinator vanish, as in a failing switch.
    Silent,
    /// They are answered with a reset, as a firewall or a rebooted router does.
    Reset,
    /// The cable is pulled: nothing at all comes to the host.
    Cable,
}

/// A reset must get through what makes resets.
const NO_RESET: &[&str] = &["!", "--tcp-flags", "RST", "RST"];

impl Host {
    /// Cuts it off.
    ///
    /// # Errors
    /// The host is off, or cut already.
    pub fn cut(&self, cut: Cut) -> Result<()> {
        match cut {
            Cut::Cable => self.exec(&["ip", "link", "set", "eth0", "down"]).map(drop),
            Cut::Silent | Cut::Reset => self.filter("--insert", cut),
        }
    }

    /// Takes the cut back.
    ///
    /// # Errors
    /// It was not cut in this way.
    pub fn heal(&self, cut: Cut) -> Result<()> {
        match cut {
            Cut::Cable => {
                self.exec(&["ip", "link", "set", "eth0", "up"])?;
                let (gateway, _) = self.coordinator.rsplit_once(':').context("an address without a port")?;
                self.exec(&["ip", "route", "replace", "default", "via", gateway]).map(drop)
            }
            Cut::Silent | Cut::Reset => self.filter("--delete", cut),
        }
    }

    /// Both ways, for the agent's connections only: the node goes on serving.
    fn filter(&self, verb: &str, cut: Cut) -> Result<()> {
        let (_, port) = self.coordinator.rsplit_once(':').context("an address without a port")?;
        let (from, target): (&[&str], &[&str]) = match cut {
            Cut::Silent | Cut::Cable => (&[], &["DROP"]),
            Cut::Reset => (NO_RESET, &["REJECT", "--reject-with", "tcp-reset"]),
        };
        for (chain, side) in [("OUTPUT", "--dport"), ("INPUT", "--sport")] {
            let words = ["iptables-legacy", "--wait", verb, chain, "--protocol", "tcp", side, port];
            self.exec(&[&words[..], from, &["--jump"], target].concat())?;
        }
        Ok(())
    }
}
