"""What operators read and change: `/api/v1/admin`."""
