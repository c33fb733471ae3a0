//! The least sum of functions of a few variables each, by eliminating one variable after another.
//!
//! *Bucket elimination* [Dec99]: all functions of a variable are added up, the variable is minimised
//! away, and a table over its neighbours remains. A chain of matrices becomes their (min,+) product,
//! two parallel branches become the sum of their matrices; a series-parallel graph never needs a
//! table of more than two variables, any graph needs tables of as many as its elimination width.
//! The variable whose elimination takes the fewest entries goes first.
//!
//! Where an elimination would take more than the allowed entries, its functions are split into
//! groups and the variable is minimised away from each group by itself (*mini-buckets*, [DR03]).
//! The minimum of a sum is at least the sum of the minima: what comes out is a lower bound.

use std::collections::BTreeSet;

/// A function of some variables. A value of infinity forbids.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its variables, no two equal.
    pub scope: Vec<usize>,
    /// Row-major over the variables, the last the fastest.
    pub values: Vec<f64>,
}

/// What elimination found.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    /// The least sum, or no more than that if functions were split.
    pub bound: f64,
    /// Where the sum takes its minimum: a value below its size for each variable. With split
    /// functions only a guess, and not necessarily one with a finite sum.
    pub argument: Vec<usize>,
}

/// In which order variables go, and from which tables.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    steps: Vec<Step>,
    /// Whether no function is split: the minimum is the minimum.
    pub exact: bool,
    /// Entries that all eliminations together compute.
    pub effort: u64,
}

#[derive(Clone, Debug)]
struct Step {
    variable: usize,
    groups: Vec<Group>,
}

/// Tables that are added before the variable is minimised away; they make one new table.
#[derive(Clone, Debug)]
struct Group {
    /// Indices of tables: first the given ones, then the new ones in order.
    tables: Vec<usize>,
    /// The variables of the new table.
    scope: Vec<usize>,
}

/// Orders the elimination of variables of the given sizes from tables of the given scopes, with at
/// most `limit` entries an elimination (more where a single given table has more).
///
/// Near-linear in the variables, for a bounded number of neighbours each.
pub(super) fn schedule(sizes: &[usize], scopes: &[&[usize]], limit: u64) -> Schedule {
    let mut scopes: Vec<Vec<usize>> = scopes.iter().map(|scope| scope.to_vec()).collect();
    let mut tables_of: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); sizes.len()];
    for (table, scope) in scopes.iter().enumerate() {
        for &variable in scope {
            tables_of[variable].insert(table);
        }
    }
    let entries = |scope: &BTreeSet<usize>| {
        let sizes = scope.iter().map(|&variable| sizes[variable] as u64);
        sizes.fold(1, u64::saturating_mul)
    };
    let union = |tables: &BTreeSet<usize>, scopes: &[Vec<usize>]| -> BTreeSet<usize> {
        tables
            .iter()
            .flat_map(|&table| scopes[table].iter().copied())
            .collect()
    };
    let mut price: Vec<u64> = tables_of
        .iter()
        .map(|tables| entries(&union(tables, &scopes)))
        .collect();
    let mut queue: BTreeSet<(u64, usize)> = price.iter().copied().zip(0..).collect();
    let mut schedule = Schedule {
        steps: Vec::with_capacity(sizes.len()),
        exact: true,
        effort: 0,
    };
    while let Some((_, variable)) = queue.pop_first() {
        let mut tables: Vec<usize> = tables_of[variable].iter().copied().collect();
        let mut touched = union(&tables_of[variable], &scopes);
        touched.remove(&variable);
        tables.sort_by_key(|&table| std::cmp::Reverse(scopes[table].len()));
        let mut groups: Vec<(Vec<usize>, BTreeSet<usize>)> = Vec::new();
        for table in tables {
            for &other in &scopes[table] {
                tables_of[other].remove(&table);
            }
            let with = |scope: &BTreeSet<usize>| -> BTreeSet<usize> {
                scope.iter().chain(&scopes[table]).copied().collect()
            };
            match groups
                .iter_mut()
                .find(|group| entries(&with(&group.1)) <= limit)
            {
                Some(group) => {
                    group.1 = with(&group.1);
                    group.0.push(table);
                }
                None => groups.push((vec![table], with(&BTreeSet::new()))),
            }
        }
        schedule.exact &= groups.len() <= 1;
        let mut step = Step {
            variable,
            groups: Vec::with_capacity(groups.len()),
        };
        for (tables, mut scope) in groups {
            schedule.effort = schedule.effort.saturating_add(entries(&scope));
            scope.remove(&variable);
            let new = scopes.len();
            for &other in &scope {
                tables_of[other].insert(new);
            }
            scopes.push(scope.iter().copied().collect());
            step.groups.push(Group {
                tables,
                scope: scope.into_iter().collect(),
            });
        }
        schedule.steps.push(step);
        for other in touched {
            queue.remove(&(price[other], other));
            price[other] = entries(&union(&tables_of[other], &scopes));
            queue.insert((price[other], other));
        }
    }
    schedule
}

/// Carries a schedule out on the tables whose scopes it was made for.
pub(super) fn minimise(sizes: &[usize], mut tables: Vec<Table>, schedule: &Schedule) -> Minimum {
    // The sum of the tables over no variables at all.
    let constant = |table: &Table| {
        if table.scope.is_empty() {
            table.values[0]
        } else {
            0.0
        }
    };
    let mut bound: f64 = tables.iter().map(constant).sum();
    for step in &schedule.steps {
        for group in &step.groups {
            let parts: Vec<&Table> = group.tables.iter().map(|&table| &tables[table]).collect();
            let table = eliminate(sizes, &parts, step.variable, &group.scope);
            bound += constant(&table);
            tables.push(table);
        }
    }
    let mut argument = vec![0; sizes.len()];
    for step in schedule.steps.iter().rev() {
        let mut sums = vec![0.0; sizes[step.variable]];
        for &table in step.groups.iter().flat_map(|group| &group.tables) {
            let table = &tables[table];
            let strides = strides(sizes, &table.scope);
            let others = table.scope.iter().zip(&strides);
            let others = others.filter(|&(&other, _)| other != step.variable);
            let start: usize = others
                .map(|(&other, stride)| argument[other] * stride)
                .sum();
            add(
                &mut sums,
                table,
                start,
                stride_of(table, &strides, step.variable),
            );
        }
        // The first of equals: the lowest level.
        argument[step.variable] = sums
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(value, _)| value);
    }
    Minimum { bound, argument }
}

/// The minimum over `variable` of the sum of `tables`, as a table over `scope`.
fn eliminate(sizes: &[usize], tables: &[&Table], variable: usize, scope: &[usize]) -> Table {
    let entries: usize = scope.iter().map(|&other| sizes[other]).product();
    let mut values = Vec::with_capacity(entries);
    let own: Vec<Vec<usize>> = tables
        .iter()
        .map(|table| strides(sizes, &table.scope))
        .collect();
    // How far each table moves along the new table's variables, and along the variable.
    let moves: Vec<Vec<usize>> = tables
        .iter()
        .zip(&own)
        .map(|(table, own)| {
            scope
                .iter()
                .map(|&other| stride_of(table, own, other))
                .collect()
        })
        .collect();
    let inner: Vec<usize> = tables
        .iter()
        .zip(&own)
        .map(|(table, own)| stride_of(table, own, variable))
        .collect();
    let mut digits = vec![0; scope.len()];
    let mut starts = vec![0; tables.len()];
    let mut sums = vec![0.0; sizes[variable]];
    for _ in 0..entries {
        sums.fill(0.0);
        for ((table, &start), &stride) in tables.iter().zip(&starts).zip(&inner) {
            add(&mut sums, table, start, stride);
        }
        values.push(sums.iter().copied().fold(f64::INFINITY, f64::min));
        for place in (0..scope.len()).rev() {
            let wraps = digits[place] + 1 == sizes[scope[place]];
            for (start, moves) in starts.iter_mut().zip(&moves) {
                if wraps {
                    *start -= digits[place] * moves[place];
                } else {
                    *start += moves[place];
                }
            }
            if wraps {
                digits[place] = 0;
            } else {
                digits[place] += 1;
                break;
            }
        }
    }
    Table {
        scope: scope.to_vec(),
        values,
    }
}

/// Adds the entries `start`, `start + stride`, ... of a table.
fn add(sums: &mut [f64], table: &Table, start: usize, stride: usize) {
    if stride == 0 {
        sums.iter_mut().for_each(|sum| *sum += table.values[start]);
    } else {
        let entries = table.values[start..].iter().step_by(stride);
        sums.iter_mut()
            .zip(entries)
            .for_each(|(sum, entry)| *sum += entry);
    }
}

fn strides(sizes: &[usize], scope: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; scope.len()];
    for place in (1..scope.len()).rev() {
        strides[place - 1] = strides[place] * sizes[scope[place]];
    }
    strides
}

/// The stride of a variable in a table; zero where the table does not depend on it.
fn stride_of(table: &Table, strides: &[usize], variable: usize) -> usize {
    let place = table.scope.iter().position(|&other| other == variable);
    place.map_or(0, |place| strides[place])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sizes, and tables over random scopes with small whole values and some infinities.
    fn model() -> impl Strategy<Value = (Vec<usize>, Vec<Table>)> {
        prop::collection::vec(1usize..4, 1..6).prop_flat_map(|sizes| {
            let all: Vec<usize> = (0..sizes.len()).collect();
            let scope = prop::sample::subsequence(all, 0..=sizes.len().min(3)).prop_shuffle();
            let of = sizes.clone();
            let table = scope.prop_flat_map(move |scope| {
                let entries = scope.iter().map(|&v| of[v]).product::<usize>();
                let value =
                    prop_oneof![4 => (0u8..9).prop_map(f64::from), 1 => Just(f64::INFINITY)];
                prop::collection::vec(value, entries).prop_map(move |values| Table {
                    scope: scope.clone(),
                    values,
                })
            });
            (Just(sizes), prop::collection::vec(table, 0..7))
        })
    }

    fn sum(sizes: &[usize], tables: &[Table], argument: &[usize]) -> f64 {
        let entry = |table: &Table| {
            let digits = table.scope.iter().zip(strides(sizes, &table.scope));
            table.values[digits
                .map(|(&v, stride)| argument[v] * stride)
                .sum::<usize>()]
        };
        tables.iter().map(entry).sum()
    }

    fn least(sizes: &[usize], tables: &[Table]) -> f64 {
        let mut least = f64::INFINITY;
        for mut index in 0..sizes.iter().product() {
            let mut argument = vec![0; sizes.len()];
            for (digit, size) in argument.iter_mut().zip(sizes) {
                *digit = index % size;
                index /= size;
            }
            least = least.min(sum(sizes, tables, &argument));
        }
        least
    }

    proptest! {
        #[test]
        fn the_minimum_is_that_of_the_exhaustive_search((sizes, tables) in model(), limit in 1u64..40) {
            let scopes: Vec<&[usize]> = tables.iter().map(|table| &table.scope[..]).collect();
            let expect = least(&sizes, &tables);
            let free = schedule(&sizes, &scopes, u64::MAX);
            prop_assert!(free.exact);
            let found = minimise(&sizes, tables.clone(), &free);
            prop_assert_eq!(found.bound, expect);
            prop_assert_eq!(sum(&sizes, &tables, &found.argument), expect);
            let tight = schedule(&sizes, &scopes, limit);
            let found = minimise(&sizes, tables.clone(), &tight);
            prop_assert!(found.bound <= expect);
            if tight.exact {
                prop_assert_eq!(found.bound, expect);
            }
        }
    }
}
