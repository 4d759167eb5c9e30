//! Statements over many rows at once, `… VALUES ($1,$2),($3,$4) …`, in a few fixed sizes so that each is
//! prepared once. A round to the database costs far more than a row.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use sqlx::any::{Any, AnyArguments};
use sqlx::query::Query;
use sqlx::{AnyConnection, AssertSqlSafe};

/// Rows in one statement. At 16 columns the largest has 4,096 parameters; SQLite takes 32,766.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// A statement with a list of rows in its middle.
pub(super) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    statements: [Statements; 2],
}

type Statements = [OnceLock<Arc<str>>; SIZES.len()];

/// A statement that takes its parameters, which it copies.
pub(super) type Bound = Query<'static, Any, AnyArguments>;

impl Bulk {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            statements: [const { [const { OnceLock::new() }; SIZES.len()] }; 2],
        }
    }

    /// Cuts `rows` into pieces of the sizes that there are statements for.
    fn pieces<'r, T>(
        &self,
        connection: &AnyConnection,
        mut rows: &'r [T],
    ) -> Vec<(Arc<str>, &'r [T])> {
        // SQLite looks up a parameter that has a name, in a list that grows with the rows.
        let named = connection.backend_name() != "SQLite";
        let statements = &self.statements[usize::from(named)];
        let mut pieces = Vec::new();
        for (size, statement) in SIZES.into_iter().zip(statements) {
            while rows.len() >= size {
                let (piece, rest) = rows.split_at(size);
                rows = rest;
                let sql = statement.get_or_init(|| self.statement(size, named));
                pieces.push((Arc::clone(sql), piece));
            }
        }
        pieces
    }

    fn statement(&self, rows: usize, named: bool) -> Arc<str> {
        let mut sql = String::from(self.head);
        for row in 0..rows {
            sql.push_str(if row == 0 { " (" } else { ",(" });
            for column in 1..=self.columns {
                sql.push_str(if column == 1 { "" } else { "," });
                if named {
                    write!(sql, "${}", row * self.columns + column)
                        .expect("writing to a string cannot fail");
                } else {
                    sql.push('?');
                }
            }
            sql.push(')');
        }
        sql.push(' ');
        sql.push_str(self.tail);
        sql.into()
    }

    /// Runs it over all rows; how many rows of the table it touched.
    pub(super) async fn execute<T: Sync>(
        &self,
        connection: &mut AnyConnection,
        rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound + Send,
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        for (sql, piece) in self.pieces(connection, rows) {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in piece {
                query = bind(query, row);
            }
            touched += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(touched)
    }

    /// Runs it as a question over all rows.
    pub(super) async fn fetch<T: Sync>(
        &self,
        connection: &mut AnyConnection,
        rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound + Send,
    ) -> Result<Vec<sqlx::any::AnyRow>, sqlx::Error> {
        let mut found = Vec::new();
        for (sql, piece) in self.pieces(connection, rows) {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in piece {
                query = bind(query, row);
            }
            found.extend(query.fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }
}
