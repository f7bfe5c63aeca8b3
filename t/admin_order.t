#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The order of members says nothing: another one makes no revision, by the
# admin API and by nginx.conf, is served in one form, and decides the same.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new;


sub text {
    my ($variants, $conditions) = @_;

    return <<"END";
http {
    gray_zone  gray 2m;

    gray_release app {
        zone     gray;
        hash     \$arg_uid;
        variant  off;
        variant  on weight=0%;
    }

    gray_release declared {
        zone      gray;
        hash      \$arg_uid;
        baseline  off;
        $variants
        match     a $conditions name=part;
    }

    gray_release file {
        zone      gray;
        document  file.json;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location /      { return 200 \$gray_app; }
    }
}
END
}


# what GET serves, as bytes without white space

sub served {
    my ($release) = @_;

    my $text = $t->get("/gray/releases/$release")->{body};

    $text =~ s/\s+//g;
    return $text;
}


sub put {
    my ($variants, $rules) = @_;

    my $response = $t->api('PUT', '/gray/releases/app',
        qq({"rules":[$rules],"variants":{$variants},"hash":["\$arg_uid"],)
        . '"baseline":"off"}');

    is($response->{status}, 200, 'put') or diag($response->{body});
    return $response->{json}{revision};
}


$t->write_file('file.json', <<'END');
{"baseline": "off", "variants": {"off": {}, "a": {"weight": 5}},
 "rules": [{"when": {"$arg_a": "1", "$arg_b": {"prefix": "x", "suffix": "y"}},
            "variant": "a"}]}
END

$t->config(text('variant off; variant a weight=5%; variant b weight=5%;',
                '$arg_n > 5 and $arg_m = x and $arg_l !~ y'))->start;

my $variants = '"off":{},"on":{"weight":0}';


# -- conditions: the form that is served; others; then arguments, and what
# they decide, where the order matters as "many" is no number

my @conditions = (
    [ '{"$arg_a":"1","$arg_b":"2","device":"bot","time":{"days":["mon"],'
      . '"from":"08:00"},"all":[{"$arg_c":"3"}],"any":[{"$arg_e":"4"},'
      . '{"$arg_d":"5"}],"not":{"$arg_f":"6"}}',
      [ '{"not":{"$arg_f":"6"},"any":[{"$arg_e":"4"},{"$arg_d":"5"}],'
        . '"all":[{"$arg_c":"3"}],"time":{"from":"08:00","days":["mon"]},'
        . '"device":"bot","$arg_b":"2","$arg_a":"1"}' ] ],

    [ '{"all":[{"$arg_y":"2","$arg_z":"1"},{"$arg_a":"3"}]}',
      [ '{"all":[{"$arg_z":"1","$arg_y":"2"},{"$arg_a":"3"}]}' ],
      'a=3&y=2&z=1' => 'on', 'a=3&y=2' => 'off' ],

    [ '{"not":{"$arg_m":"x","$arg_n":{"gt":5}}}',
      [ '{"not":{"$arg_n":{"gt":5},"$arg_m":"x"}}' ],
      'm=x&n=6' => 'off', 'm=x&n=5' => 'on', 'm=x&n=many' => 'off',
      'm=y&n=many' => 'on' ],

    [ '{"not":{"$arg_n":{"gt":5,"suffix":"9"}}}',
      [ '{"not":{"$arg_n":{"suffix":"9","gt":5}}}' ],
      'n=19' => 'off', 'n=1' => 'on', 'n=many' => 'off' ],

    [ '{"not":{"device":"bot","all":[{"$arg_n":{"gt":5}}]}}',
      [ '{"not":{"all":[{"$arg_n":{"gt":5}}],"device":"bot"}}' ],
      'n=6' => 'on', 'n=many' => 'on' ],

    [ '{"not":{"percent":{"lt":1,"salt":"x"},"not":{"$arg_n":{"lte":5}}}}',
      [ '{"not":{"not":{"$arg_n":{"lte":5}},"percent":{"salt":"x","lt":1}}}' ],
      'uid=u1&n=many' => 'on' ],
);

for (@conditions) {
    my ($form, $others, %decided) = @$_;

    # each is the first one to come, so that nothing is as it was before

    for my $when ($form, @$others) {
        put($variants, '');

        my $revision = put($variants, qq({"variant":"on","when":$when}));

        like(served('app'), qr/"when":\Q$form\E,"variant"/, $when);

        for my $arguments (sort keys %decided) {
            is($t->get("/?$arguments")->{body}, $decided{$arguments},
               "$when: $arguments");
        }

        is(put($variants, qq({"when":$_,"variant":"on"})), $revision,
           "$_: no revision") for $form, @$others;
    }
}


# what stands in an array has an order

my ($one, $two) = map { qq({"$_":"1"}) } qw($arg_a $arg_b);
my $revision = put($variants,
                   qq({"when":{"any":[$one,$two]},"variant":"on"}));

is(put($variants, qq({"when":{"any":[$two,$one]},"variant":"on"})),
   $revision + 1, 'an array');


# -- weights of a rule, and variants, which stay as they came

my $rule = '{"name":"r","when":{"$arg_x":"1"},"weights":';

$revision = put('"a":{"weight":1},"on":{"weight":0},"off":{}',
                $rule . '{"on":1,"a":2}}');

like(served('app'), qr/"weights":\{"a":2,"on":1\},"allocation"/,
     'weights by name');
like(served('app'), qr/"variants":\{"a":\{"weight":1\},"on":/,
     'variants as they came');
is(put('"off":{},"on":{"weight":0},"a":{"weight":1}',
       $rule . '{"a":2,"on":1}}'), $revision, 'no revision');
like(served('app'), qr/"variants":\{"a":\{"weight":1\},"on":/,
     'they stay as they were');


# -- nginx.conf, and the file of a document

my %before = map { $_ => served($_) } qw(declared file);

like($before{declared},
     qr/"when":\{"\$arg_m":"x","\$arg_n":\{"gt":5\},"not":\{"\$arg_l":/,
     'declared: by name');

$t->write_file('file.json', <<'END');
{"rules": [{"variant": "a",
            "when": {"$arg_b": {"suffix": "y", "prefix": "x"}, "$arg_a": "1"}}],
 "variants": {"a": {"weight": 5}, "off": {}}, "baseline": "off"}
END

$t->config(text('variant b weight=5%; variant a weight=5%; variant off;',
                '$arg_l !~ y and $arg_m = x and $arg_n > 5'));
ok($t->reload, 'nginx.conf in another order');

is(served($_), $before{$_}, "$_: as it was") for sort keys %before;
like($before{$_}, qr/"revision":1,.*"declared_differs":false/,
     "$_: no revision") for sort keys %before;

$t->done;
