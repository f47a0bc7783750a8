"""Orders behind Django REST Framework as a team has them: pages, ETags and a token. Prints its port.

Run as a program, where Django and Django REST Framework can be imported.
"""

import sys
from wsgiref.simple_server import make_server

from django.conf import settings

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    USE_X_FORWARDED_HOST=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    REST_FRAMEWORK={
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
        "PAGE_SIZE": 2,
        "UNAUTHENTICATED_USER": None,
    },
)

import django  # noqa: E402

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.generics import ListAPIView  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

ORDERS = [{"id": number, "stage": "new", "note": "n" * 200} for number in range(1, 6)]


class Token(BaseAuthentication):
    def authenticate(self, request):
        if request.headers.get("Authorization") != "Token hush":
            raise AuthenticationFailed("No valid token.")
        return ("backend", None)

    def authenticate_header(self, request):
        return "Token"


class OrderSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    stage = serializers.CharField()
    note = serializers.CharField()


class Orders(ListAPIView):
    authentication_classes = (Token,)
    serializer_class = OrderSerializer

    def get_queryset(self):
        return ORDERS


class AllOrders(Orders):
    pagination_class = None


class Order(APIView):
    authentication_classes = (Token,)

    def patch(self, request, number):
        ORDERS[number - 1] |= request.data
        return Response(ORDERS[number - 1])


urlpatterns = [
    path("orders/", Orders.as_view()),
    path("orders/<int:number>/", Order.as_view()),
    path("all/", AllOrders.as_view()),
    path("all/<int:number>/", Order.as_view()),
]

if __name__ == "__main__":
    with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
        print(server.server_port, flush=True)
        sys.stdout.close()
        server.serve_forever()
