// The part of better-sqlite3 that the PDS uses, through Kysely, on the SQLite that Node has built in.
//
// The real one has no binary on the package registry, so installing it takes a C++ compiler and a minute.

import { DatabaseSync } from 'node:sqlite'

/** What SQLite calls its result codes: the PDS tries again after some, and understands others. */
const CODES = {
  5: 'SQLITE_BUSY',
  261: 'SQLITE_BUSY_RECOVERY',
  517: 'SQLITE_BUSY_SNAPSHOT',
  773: 'SQLITE_BUSY_TIMEOUT',
  1555: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  2067: 'SQLITE_CONSTRAINT_UNIQUE',
}

class Statement {
  #statement

  constructor(statement) {
    this.#statement = statement
    this.reader = statement.columns().length > 0
  }

  all = (parameters) => named(() => this.#statement.all(...parameters))
  run = (parameters) => named(() => this.#statement.run(...parameters))
  iterate = (parameters) => named(() => this.#statement.iterate(...parameters))
}

export default class Database {
  #database

  constructor(location, { timeout }) {
    this.#database = named(() => new DatabaseSync(location, { timeout }))
    // The default of better-sqlite3, not of SQLite.
    this.#database.exec('pragma synchronous = normal')
  }

  prepare = (sql) => named(() => new Statement(this.#database.prepare(sql)))
  pragma = (text) => named(() => this.#database.exec(`pragma ${text}`))
  close = () => this.#database.close()
}

/** Do something, and let what SQLite refuses carry its name for it. */
function named(action) {
  try {
    return action()
  } catch (error) {
    if (error.code === 'ERR_SQLITE_ERROR') error.code = CODES[error.errcode] ?? `SQLITE_${error.errcode}`
    throw error
  }
}
