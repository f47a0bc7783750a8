// What the client loads when it is wanted is there already: a clock that is turned by hand does not wait for files.

import "../../../gateway/static/auto_refresh.js";
import "../../../gateway/static/shared.js";
import "../../../gateway/static/writes.js";
