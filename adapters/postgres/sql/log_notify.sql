-- Says nothing but "look": the payload of a notification is limited to 8,000 bytes.
notify sync_events;
