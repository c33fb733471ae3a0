use super::*;

fn row(operation: Operation, log_n: u32, level: usize, seconds: f64) -> Row {
    let bootstrap = matches!(operation, Operation::Bootstrap | Operation::BootstrapSetup);
    Row {
        operation,
        log_n,
        level,
        specials: 4,
        digit: 5,
        degree: (operation == Operation::Polynomial).then_some(15),
        groups: bootstrap.then_some(3),
        seconds,
    }
}

fn table() -> CostTable {
    CostTable {
        version: VERSION,
        machine: "none".to_string(),
        threads: 2,
        rows: Operation::ALL.map(|o| row(o, 15, 18, 1.0)).to_vec(),
    }
}

#[test]
fn the_reference_prices_what_plans_contain() {
    let table = CostTable::reference();
    table.validate().unwrap();
    for log_n in [12, 15, 16] {
        let p = Parameters::fused(log_n, 15);
        for level in 1..=p.top() {
            let all = [
                table.mul(&p, level),
                table.mul_const(&p, level),
                table.add(&p, level),
                table.polynomial(&p, level, 3),
            ];
            assert!(all.iter().all(|s| s.is_finite() && *s > 0.0), "{all:?}");
        }
        // Neighbouring levels may differ by a measurement's noise, the ends may not.
        assert!(table.mul(&p, p.top()) > 2.0 * table.mul(&p, 1));
        assert!(table.bootstrap(&p, 63) > table.bootstrap(&p, 7));
        assert!(table.bootstrap_setup(&p) > 0.0);
    }
}

#[test]
fn measured_rows_are_met_and_others_lie_between() {
    let mut table = table();
    let p = Parameters::fused(15, 15);
    let model = |level| point(Operation::Mul, &p, level).modelled();
    table.rows.retain(|row| row.operation != Operation::Mul);
    table.rows.push(row(Operation::Mul, 15, 4, 2.0 * model(4)));
    table.rows.push(row(Operation::Mul, 15, 8, 4.0 * model(8)));
    let check = |level, factor: f64| {
        let found = table.mul(&p, level) / model(level);
        assert!((found - factor).abs() < 1e-9, "{level}: {found}");
    };
    check(4, 2.0);
    check(8, 4.0);
    check(6, 3.0);
    check(1, 2.0);
    check(18, 4.0);
    // Another ring, and other special primes: the nearest row's factor.
    let larger = Parameters::fused(16, 15);
    let found = table.mul(&larger, 4) / point(Operation::Mul, &larger, 4).modelled();
    assert!((found - 2.0).abs() < 1e-9);
    // A bootstrap is its own row and P.
    let found = table.bootstrap(&p, 15) - table.polynomial(&p, 7, 15);
    assert!((found - 1.0).abs() < 1e-9, "{found}");
}

#[test]
fn a_map_is_the_sum_of_its_pieces() {
    let (table, p) = (CostTable::reference(), Parameters::fused(15, 15));
    let prices = table.map_prices(&p, 3);
    let counts = MapCounts {
        diagonals: 144,
        babies: 8,
        giants: 15,
        folds: 2,
        inputs: 1,
        outputs: 2,
    };
    let expect = 144.0 * prices.diagonal + 8.0 * prices.baby + 15.0 * prices.giant;
    let expect = expect + 2.0 * prices.fold + prices.input + 2.0 * prices.output;
    assert!((table.map(&p, 3, &counts) - expect).abs() < 1e-12);
}

#[test]
fn validate_refuses() {
    assert_eq!(table().validate(), Ok(()));
    let json = serde_json::to_string(&table()).unwrap();
    assert_eq!(CostTable::from_json(&json), Ok(table()));
    let check = |edit: fn(&mut CostTable), expect: &str| {
        let mut table = table();
        edit(&mut table);
        let json = serde_json::to_string(&table).unwrap();
        let message = CostTable::from_json(&json).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    check(|t| t.version = 9, "version 9");
    check(|t| t.threads = 0, "0 threads");
    check(|t| t.rows[2].seconds = -1.0, "row 2 is out of range");
    check(|t| t.rows[2].level = 64, "row 2 is out of range");
    check(|t| t.rows[2].degree = Some(3), "row 2 is out of range");
    check(|t| t.rows[9].degree = None, "row 9 is out of range");
    check(|t| t.rows[10].groups = Some(usize::MAX), "row 10");
    check(|t| t.rows.push(t.rows[0].clone()), "repeats");
    check(
        |t| t.rows.retain(|r| r.operation != Operation::Giant),
        "Giant",
    );
    assert!(CostTable::from_json(&" ".repeat(MAX_BYTES + 1)).is_err());
    assert!(CostTable::from_json(&json.replace("\"threads\"", "\"treads\"")).is_err());
}
