//! Statements over many rows at once, `… VALUES (?,?),(?,?) …`, in a few fixed sizes so that each is
//! prepared once. The hub's store has the like for its two databases.

use std::sync::{Arc, OnceLock};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

/// Rows in one statement. At 9 columns the largest has 576 parameters; SQLite takes 32,766.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// A statement with a list of rows in its middle.
pub(super) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    statements: [OnceLock<Arc<str>>; SIZES.len()],
}

/// A statement that takes its parameters, which it copies.
pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

impl Bulk {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            statements: [const { OnceLock::new() }; SIZES.len()],
        }
    }

    /// Cuts `rows` into pieces of the sizes that there are statements for.
    fn pieces<'r, T>(&self, mut rows: &'r [T]) -> Vec<(Arc<str>, &'r [T])> {
        let mut pieces = Vec::new();
        for (size, statement) in SIZES.into_iter().zip(&self.statements) {
            while rows.len() >= size {
                let (piece, rest) = rows.split_at(size);
                rows = rest;
                let sql = statement.get_or_init(|| self.statement(size));
                pieces.push((Arc::clone(sql), piece));
            }
        }
        pieces
    }

    fn statement(&self, rows: usize) -> Arc<str> {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let rows = vec![row; rows].join(",");
        format!("{} {rows} {}", self.head, self.tail).into()
    }

    /// Runs it over all rows.
    pub(super) async fn execute<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound + Send,
    ) -> Result<(), sqlx::Error> {
        for (sql, piece) in self.pieces(rows) {
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = piece.iter().fold(query, &bind);
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Runs it as a question over all rows.
    pub(super) async fn fetch<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound + Send,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut found = Vec::new();
        for (sql, piece) in self.pieces(rows) {
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = piece.iter().fold(query, &bind);
            found.extend(query.fetch_all(&mut *connection).await?);
        }
        Ok(found)
    }
}
