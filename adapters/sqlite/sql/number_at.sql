select number from event where major = ? and minor = ?;
