//! Does this agent run in a given container? It must not replace the ground it stands on.

/// Files in which the kernel names the container a process is in.
const PLACES: [&str; 2] = ["/proc/self/cgroup", "/proc/self/mountinfo"];

/// Is the container with this full id ours?
pub(super) fn is_us(id: &str) -> bool {
    let named_in = |text: String| text.lines().any(|line| names(line, id));
    !id.is_empty() && PLACES.iter().any(|place| std::fs::read_to_string(place).is_ok_and(named_in))
}

/// A cgroup path ends in the id; a mount of ours comes from the engine's directory of it.
fn names(line: &str, id: &str) -> bool {
    let of_cgroup = line.ends_with(&format!("/{id}")) || line.ends_with(&format!("docker-{id}.scope"));
    of_cgroup || line.contains(&format!("/containers/{id}/hostname "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_in_its_place_counts() {
        let id = "ab".repeat(32);
        assert!(names(&format!("1:cpu:/docker/{id}"), &id));
        assert!(names(&format!("0::/system.slice/docker-{id}.scope"), &id));
        let mount =
            format!("1 2 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/a rw");
        assert!(names(&mount, &id));
        assert!(!names(&format!("1 2 0:9 / /var/lib/docker/overlay2/{id}/merged rw - overlay"), &id));
        assert!(!is_us(&id) && !is_us(""));
    }
}
