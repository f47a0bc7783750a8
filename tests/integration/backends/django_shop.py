"""A shop of Django REST Framework as its tutorial has it: pages, ETags, decimals as text, a zone, a name.

`django_shop.py PORT` serves it; its database is $SHOP_DATABASE: a file, or postgresql://… of a server.
"""

import os
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection, models
from django.urls import include, path


def _database(given: str) -> dict[str, Any]:
    address = urlsplit(given)
    if address.scheme not in ("postgres", "postgresql"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": given}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.path.lstrip("/"),
        "HOST": address.hostname or parse_qs(address.query).get("host", [""])[0],
        "PORT": str(address.port or ""),
        "USER": address.username or "",
        "PASSWORD": address.password or "",
    }


settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    DATABASES={"default": _database(os.environ["SHOP_DATABASE"])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="America/Mexico_City",
    USE_X_FORWARDED_HOST=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    REST_FRAMEWORK={
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "PAGE_SIZE": 5,
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

# What Django REST Framework imports asks for the settings.
from rest_framework import routers, serializers, viewsets  # noqa: E402


class Booking(models.Model):
    """A booking of a hall."""

    ticket_id = models.CharField(max_length=20, primary_key=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    starts = models.DateTimeField()
    lasts = models.DurationField()
    stage = models.CharField(max_length=20, default="placed")

    class Meta:
        app_label = "shop"
        db_table = "booking"
        ordering = ("ticket_id",)


class BookingSerializer(serializers.ModelSerializer):
    ticket = serializers.CharField(source="ticket_id")

    class Meta:
        model = Booking
        fields = ("ticket", "price", "starts", "lasts", "stage")


class Bookings(viewsets.ModelViewSet):
    queryset = Booking.objects.all()
    serializer_class = BookingSerializer


router = routers.DefaultRouter()
router.register("bookings", Bookings)
urlpatterns = [path("api/", include(router.urls))]


def main() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Booking)
    port = sys.argv[1]
    execute_from_command_line(["django_shop.py", "runserver", "--noreload", f"127.0.0.1:{port}"])


if __name__ == "__main__":
    main()
