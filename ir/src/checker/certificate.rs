//! What the keys are worth, against the certificate and the target.

use super::expect;
use crate::plan::Plan;
use crate::security;

pub(super) fn check_certificate(plan: &Plan) -> Result<(), String> {
    let (p, keys) = (&plan.parameters, &plan.keys);
    let bits = |primes: &[u64]| {
        primes
            .iter()
            .map(|&prime| (prime as f64).log2())
            .sum::<f64>()
    };
    let at = |level: usize| bits(&p.q[..=level]) + bits(&p.p);
    let top = p.q.len() - 1;
    let highest = keys.rotations.iter().map(|key| key.level).max();
    let sparse = p.bootstrap.as_ref().filter(|_| keys.encapsulation);
    let expected = [
        Some((at(top), None)),
        keys.relinearisation.map(|level| (at(level), None)),
        keys.conjugation.map(|level| (at(level), None)),
        highest.map(|level| (at(level), None)),
        sparse.map(|_| (at(top), None)),
        sparse.map(|b| (bits(&p.q[..1]) + bits(&p.p[..1]), Some(b.sparse_weight))),
    ];
    let mut entries = plan.certificate.iter();
    let mut weakest = f64::INFINITY;
    for (kind, expected) in security::KINDS.iter().zip(expected) {
        let Some((log_qp, weight)) = expected else {
            continue;
        };
        let (worth, source) = security::security(p.log_n, log_qp, weight);
        let secret = weight.map_or("dense ternary".to_string(), |h| {
            format!("sparse ternary, h = {h}")
        });
        let entry = entries
            .next()
            .ok_or_else(|| format!("nothing on the key '{kind}'"))?;
        if (
            entry.key.as_str(),
            entry.log_n,
            entry.secret.as_str(),
            entry.source.as_str(),
        ) != (kind, p.log_n, secret.as_str(), source)
        {
            return Err(format!(
                "{} in 2^{}, {}, where '{kind}' belongs",
                entry.key, entry.log_n, entry.secret
            ));
        }
        expect("log2(QP)", entry.log_qp, log_qp)?;
        expect("security", entry.security, worth)?;
        weakest = weakest.min(worth);
    }
    if let Some(entry) = entries.next() {
        return Err(format!("a key '{}' that the plan does not have", entry.key));
    }
    let target = plan.target_security;
    if !security::LEVELS.contains(&target) {
        return Err(format!(
            "a target of {target} bits, expected one of {:?}",
            security::LEVELS
        ));
    }
    if (weakest < f64::from(target)) != plan.insecure {
        return Err(format!(
            "the weakest key is worth {weakest:.0} bits of {target}, insecure is {}",
            plan.insecure
        ));
    }
    Ok(())
}
